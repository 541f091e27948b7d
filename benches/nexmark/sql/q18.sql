-- columns: auction BIGINT, bidder BIGINT, price BIGINT, time BIGINT
-- output:
-- Each change is told: the last is the one with the greatest time.
select auction, bidder, price, time from output
qualify row_number() over (partition by auction, bidder order by time desc, price desc) = 1;
-- expected:
select auction, bidder, price, time from bid
qualify row_number() over (partition by auction, bidder order by time desc, price desc) = 1;
