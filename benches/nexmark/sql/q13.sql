-- columns: auction BIGINT, bidder BIGINT, price BIGINT, time BIGINT, value VARCHAR
-- expected:
select auction, bidder, price, time, 'side-' || (auction % 10000) from bid;
