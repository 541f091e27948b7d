-- columns: auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, time BIGINT, extra VARCHAR
-- expected:
select auction, bidder, price, channel, url, time, extra from bid;
