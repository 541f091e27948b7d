-- columns: auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, one VARCHAR, two VARCHAR, three VARCHAR
-- expected:
select auction, bidder, price, channel, split_part(url, '/', 4), split_part(url, '/', 5), split_part(url, '/', 6) from bid;
