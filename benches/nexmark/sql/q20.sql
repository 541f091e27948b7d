-- columns: auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, time BIGINT, item VARCHAR, description VARCHAR, initial_bid BIGINT, reserve BIGINT, opened BIGINT, expires BIGINT, seller BIGINT, category BIGINT
-- expected:
select b.auction, b.bidder, b.price, b.channel, b.url, b.time, a.item, a.description, a.initial_bid, a.reserve,
    a.time, a.expires, a.seller, a.category
from bid b join auction a on b.auction = a.id where a.category = 10;
