-- columns: bidder BIGINT, n BIGINT
-- output:
-- Where windows of the clock begin and end nobody can know: that each bid is in one can be.
select bidder, sum(n)::bigint from output group by bidder;
-- expected:
select bidder, count(*) from bid group by bidder;
