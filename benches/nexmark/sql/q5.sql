-- columns: auction BIGINT, n BIGINT, window_end BIGINT
-- expected:
with panes as (
    select auction, time // 2000 * 2000 as pane, count(*) as n from bid group by auction, pane
), windows as (
    select auction, n, unnest(range(pane + 2000, pane + 10001, 2000)) as window_end from panes
), sums as (select auction, window_end, sum(n)::bigint as n from windows group by auction, window_end)
select auction, n, window_end from sums qualify n = max(n) over (partition by window_end);
