-- columns: auction BIGINT, day BIGINT, n BIGINT, n0 BIGINT, n1 BIGINT, n2 BIGINT, least BIGINT, greatest BIGINT, total BIGINT
-- expected:
with ranked as (select *, case when price < 10000 then 0 when price < 1000000 then 1 else 2 end as rank, time - time % 86400000 as day from bid)
select auction, day, count(*), count(*) filter (rank = 0), count(*) filter (rank = 1), count(*) filter (rank = 2), min(price), max(price), sum(price)::bigint
from ranked group by auction, day;
