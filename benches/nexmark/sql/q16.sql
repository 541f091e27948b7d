-- columns: channel VARCHAR, day BIGINT, minute BIGINT, n0 BIGINT, n1 BIGINT, n2 BIGINT, n3 BIGINT, n4 BIGINT, n5 BIGINT, n6 BIGINT, n7 BIGINT, n8 BIGINT, n9 BIGINT, n10 BIGINT, n11 BIGINT
-- expected:
with ranked as (select *, case when price < 10000 then 0 when price < 1000000 then 1 else 2 end as rank, time - time % 86400000 as day from bid)
select channel, day, max(time % 86400000 // 60000), count(*), count(*) filter (rank = 0), count(*) filter (rank = 1), count(*) filter (rank = 2),
    count(distinct bidder), count(distinct bidder) filter (rank = 0), count(distinct bidder) filter (rank = 1), count(distinct bidder) filter (rank = 2),
    count(distinct auction), count(distinct auction) filter (rank = 0), count(distinct auction) filter (rank = 1), count(distinct auction) filter (rank = 2)
from ranked group by channel, day;
