-- columns: auction BIGINT, price BIGINT, bidder BIGINT, time BIGINT
-- expected:
select auction, price, bidder, time from bid qualify price = max(price) over (partition by time // 10000);
