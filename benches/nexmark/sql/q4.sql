-- columns: category BIGINT, n BIGINT, total BIGINT
-- output:
-- Each change is told: the last is the one with most sales.
select category, n, total from output qualify n = max(n) over (partition by category);
-- expected:
with offers as (
    select a.id, a.seller, a.category, a.time as opened, a.expires, b.bidder, b.price, b.time,
           row_number() over (partition by a.id order by b.price desc, b.time, b.bidder) as place
    from auction a join bid b on b.auction = a.id and b.time between a.time and a.expires
), won as (select * from offers where place = 1)
select category, count(*), sum(price)::bigint from won group by category;
