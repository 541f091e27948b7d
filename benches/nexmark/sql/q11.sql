-- columns: bidder BIGINT, n BIGINT, session_start BIGINT, session_end BIGINT
-- expected:
with gaps as (
    select bidder, time, time - lag(time) over (partition by bidder order by time) >= 10000 as is_new from bid
), sessions as (
    select bidder, time, count(*) filter (is_new) over (partition by bidder order by time rows unbounded preceding) as session
    from gaps
)
select bidder, count(*), min(time), max(time) + 10000 from sessions group by bidder, session;
