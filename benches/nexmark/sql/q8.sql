-- columns: id BIGINT, name VARCHAR, window_start BIGINT
-- expected:
select distinct p.id, p.name, p.time // 10000 * 10000 from person p
join auction a on a.seller = p.id and a.time // 10000 = p.time // 10000;
