-- columns: auction BIGINT, seller BIGINT, category BIGINT, opened BIGINT, expires BIGINT, bidder BIGINT, price BIGINT, time BIGINT
-- expected:
with offers as (
    select a.id, a.seller, a.category, a.time as opened, a.expires, b.bidder, b.price, b.time,
           row_number() over (partition by a.id order by b.price desc, b.time, b.bidder) as place
    from auction a join bid b on b.auction = a.id and b.time between a.time and a.expires
), won as (select * from offers where place = 1)
select id, seller, category, opened, expires, bidder, price, time from won;
