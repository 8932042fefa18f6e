-- What the liquidity account takes over and cannot carry is closed against the
-- other side, by ranks, at the price at which it took it over, while that is so.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 68001;
\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all

-- Alice is long 100 from 100 with 1,000, carol short 60 from 105, and the market
-- maker short 40 from 100.  At 90.9 alice has 90 and needs 90.9: the liquidity
-- account takes over all of it at her bankruptcy price, 90.
CREATE PROCEDURE pg_temp.liquidate(book int, fund numeric, stress_rate numeric) LANGUAGE sql AS $$
	CALL pg_temp.venue(book, 'coinex', fund);
	UPDATE ledger.book b SET takeover_stress_rate = stress_rate WHERE b.book_id = book;
	CALL pg_temp.deposit(book, 1, 1000);
	CALL pg_temp.deposit(book, 3, 1000);
	CALL pg_temp.fill(book, 1, 8, 100, 100);
	CALL pg_temp.fill(book, 8, 3, 60, 105);
	CALL pg_temp.mark(book, 90.9);
	CALL pg_temp.remember(book);
	SELECT FROM risk.sweep(book * 10)
$$;
CREATE TEMP VIEW taken AS
SELECT t.book_id, p.party, trim_scale(t.qty) AS qty, trim_scale(t.price) AS price, t.for_adl
  FROM ledger.takeover t JOIN party p USING (book_id, account_id) ORDER BY t.takeover_id;

-- 1. Behind 9,090 stand 500 of the fund and the 90 that the position is worth
-- more than it cost: less than a tenth.  Carol's profit is the largest: she is
-- closed first, the market maker for the rest.  Both are paid at 90 what is worth
-- 90.9: of the 90 that alice had, 54 and 36.
CALL pg_temp.liquidate(681, 500, 0.1);
SELECT * FROM taken WHERE book_id = 681;
SELECT * FROM change;
SELECT * FROM pg_temp.settle(681);
SELECT * FROM change;
SELECT p.party, d.rank, d.qty, d.price, d.gain, d.shortfall_id FROM ledger.deleveraging d JOIN party p USING (book_id, account_id)
 WHERE d.book_id = 681 ORDER BY d.rank;
SELECT * FROM pg_temp.settle(681);

-- 2. A twentieth is there: the liquidity account keeps it.
CALL pg_temp.liquidate(682, 500, 0.05);
SELECT * FROM taken WHERE book_id = 682;
SELECT * FROM pg_temp.settle(682);

-- 3. It is judged again by what is there: with 1,000 more in the fund it can be carried.
CALL pg_temp.liquidate(683, 500, 0.1);
SELECT * FROM taken WHERE book_id = 683;
SELECT risk.deposit(risk.system_account(683, 'insurance_fund', 'USDT'), 1000, 683) > 0 AS paid;
SELECT * FROM pg_temp.settle(683);
-- at 60 the position has lost 3,000: now it is beyond what stands behind it, and
-- for those who are short 90 is worse than the mark by half of it
CALL pg_temp.mark(683, 60);
SELECT * FROM pg_temp.settle(683);

-- 4. Who would close at a loss is passed over: the market maker is short from 85
-- for the half.  What nobody takes stays with the liquidity account.
CALL pg_temp.venue(684, 'coinex', 500);
UPDATE ledger.book SET takeover_stress_rate = 0.1 WHERE book_id = 684;
CALL pg_temp.deposit(684, 1, 1000);
CALL pg_temp.deposit(684, 3, 10000);
CALL pg_temp.fill(684, 1, 8, 100, 100);
CALL pg_temp.fill(684, 8, 3, 60, 105);
CALL pg_temp.fill(684, 8, 3, 40, 100);
CALL pg_temp.fill(684, 3, 8, 50, 85);
CALL pg_temp.mark(684, 90.9);
SELECT s.result FROM risk.sweep(6840) s WHERE s.book_id = 684;
SELECT * FROM pg_temp.settle(684);
SELECT p.party, trim_scale(h.qty) AS qty FROM ledger.position h JOIN party p USING (book_id, account_id)
 WHERE h.book_id = 684 AND h.qty <> 0 ORDER BY p.party;

SELECT b.book_id, v.* FROM generate_series(681, 684) AS b(book_id), LATERAL risk.verify(b.book_id) v WHERE v.violations > 0;
