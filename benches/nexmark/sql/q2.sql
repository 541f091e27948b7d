-- columns: auction BIGINT, price BIGINT
-- expected:
select auction, price from bid where auction % 123 = 0;
