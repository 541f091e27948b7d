-- columns: auction BIGINT, bidder BIGINT, price BIGINT, time BIGINT
-- output:
-- Each bid that comes among the best is told: those that stay are the best of them.
select auction, bidder, price, time from output
qualify row_number() over (partition by auction order by price desc, time, bidder) <= 10;
-- expected:
select auction, bidder, price, time from bid
qualify row_number() over (partition by auction order by price desc, time, bidder) <= 10;
