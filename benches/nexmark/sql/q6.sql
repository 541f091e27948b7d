-- columns: seller BIGINT, auction BIGINT, n BIGINT, total BIGINT
-- expected:
with offers as (
    select a.id, a.seller, a.category, a.time as opened, a.expires, b.bidder, b.price, b.time,
           row_number() over (partition by a.id order by b.price desc, b.time, b.bidder) as place
    from auction a join bid b on b.auction = a.id and b.time between a.time and a.expires
), won as (select * from offers where place = 1)
select seller, id, count(*) over last_ten, sum(price) over last_ten from won
window last_ten as (partition by seller order by expires, id rows between 9 preceding and current row);
