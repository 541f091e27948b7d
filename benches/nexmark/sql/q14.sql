-- columns: auction BIGINT, bidder BIGINT, price BIGINT, time_of_day VARCHAR, time BIGINT, extra VARCHAR, n BIGINT
-- expected:
select auction, bidder, price * 908,
    case when time % 86400000 // 3600000 between 8 and 18 then 'dayTime'
         when time % 86400000 // 3600000 <= 6 or time % 86400000 // 3600000 >= 20 then 'nightTime'
         else 'otherTime' end,
    time, extra, length(extra) - length(replace(extra, 'c', ''))
from bid where price * 0.908 > 1000000 and price * 0.908 < 50000000;
