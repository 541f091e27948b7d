-- columns: auction BIGINT, bidder BIGINT, price BIGINT, time BIGINT, extra VARCHAR
-- expected:
select auction, bidder, price * 908, time, extra from bid;
