-- Who pays what, to the last digit: by every policy, for every kind of loss.
-- The stages move equity between parties and make none: what each party gains
-- or loses by them is what the rows say.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5111, 'A of 511', 'USDT'), (5112, 'B of 511', 'USDT'), (5113, 'C of 511', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5111, 100), (5112, 100), (5113, 100);
CREATE TEMP SEQUENCE execution START 511001;
CREATE PROCEDURE pg_temp.venue(book int, policy text, fund numeric) LANGUAGE sql AS $$
	SELECT risk.create_book(book, policy);
	INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
	SELECT book, n, 'USDT', owner, CASE owner WHEN 'maker' THEN 'default' ELSE policy END
	  FROM unnest(ARRAY['alice', 'bob', 'carol', 'maker']) WITH ORDINALITY AS u(owner, n);
	SELECT risk.deposit(4, 100000, book), risk.deposit(risk.system_account(book, 'insurance_fund', 'USDT'), fund, book)
$$;
CREATE PROCEDURE pg_temp.fill(book int, buyer bigint, seller bigint, instrument int, qty numeric, price numeric, fee numeric DEFAULT 0, kind text DEFAULT 'trade') LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, fee, kind)
	SELECT book, s.account, instrument, s.side, qty, price, e.id, CASE WHEN s.account = 4 THEN 0 ELSE fee END, kind
	  FROM (SELECT nextval('execution') AS id) e, (VALUES (buyer, 'buy'), (seller, 'sell')) AS s(account, side)
$$;
CREATE PROCEDURE pg_temp.lose(book int, account bigint, amount numeric, fee numeric DEFAULT 0) LANGUAGE plpgsql AS $$
BEGIN
	CALL pg_temp.fill(book, account, 4, 5111, 1, 10000);
	CALL pg_temp.fill(book, 4, account, 5111, 1, 10000 - amount, fee);
END
$$;

-- What each account is worth at the marks.  Clearing is apart: it is the other
-- side of what is open, and with it everything would sum to zero by itself.
CREATE FUNCTION pg_temp.worth(book int) RETURNS TABLE (account_id bigint, equity numeric) LANGUAGE sql STABLE AS $$
	SELECT a.account_id, (SELECT sum(b.amount) FROM ledger.balance b WHERE b.book_id = a.book_id AND b.account_id = a.account_id)
		   + coalesce((SELECT sum(p.qty * i.multiplier * m.price - p.cost) FROM ledger.position p
						 JOIN ledger.instrument i USING (instrument_id) JOIN ledger.mark_price m USING (instrument_id)
						WHERE p.book_id = a.book_id AND p.account_id = a.account_id), 0)
	  FROM ledger.account a WHERE a.book_id = book AND a.kind <> 'clearing'
$$;
-- Settle now what the transaction left below zero, and compare what each party
-- has gained by that with what the rows say: resets, and fees that are cut.
CREATE FUNCTION pg_temp.settled(book int) RETURNS TABLE (paid text, conserved boolean, as_written boolean) LANGUAGE plpgsql AS $$
DECLARE
	before jsonb;
	last_reset bigint;
	last_cut bigint;
BEGIN
	SELECT jsonb_object_agg(w.account_id, w.equity) INTO before FROM pg_temp.worth(book) w;
	SELECT coalesce(max(r.reset_id), 0) INTO last_reset FROM ledger.reset r;
	SELECT count(*) INTO last_cut FROM ledger.entry e WHERE e.book_id = book AND e.kind = 'fee_cut';
	SET CONSTRAINTS ALL IMMEDIATE;
	SET CONSTRAINTS ALL DEFERRED;
	RETURN QUERY
	WITH change AS (
		SELECT w.account_id, w.equity - (before ->> w.account_id::text)::numeric AS amount FROM pg_temp.worth(book) w
	), written AS (
		SELECT l.account_id, sum(l.amount) AS amount
		  FROM ledger.reset r, LATERAL (VALUES (r.account_id, r.amount), (r.payer_account, -r.amount)) AS l(account_id, amount)
		 WHERE r.book_id = book AND r.reset_id > last_reset GROUP BY l.account_id
	), cut AS (
		SELECT c.account_id, sum(c.amount) AS amount
		  FROM (SELECT e.account_id, e.amount FROM ledger.entry e WHERE e.book_id = book AND e.kind = 'fee_cut'
				 ORDER BY e.posted_at OFFSET last_cut) c GROUP BY c.account_id
	)
	SELECT (SELECT string_agg(format('%s: %s %s', r.account_id, r.stage, r.amount), ', ' ORDER BY r.reset_id)
			  FROM ledger.reset r WHERE r.book_id = book AND r.reset_id > last_reset),
		   sum(c.amount) = 0,
		   bool_and(c.amount = coalesce(w.amount, 0) + coalesce(u.amount, 0))
	  FROM change c LEFT JOIN written w USING (account_id) LEFT JOIN cut u USING (account_id);
END
$$;

-- 1. Every policy, and for each the losses at the edges of what the fund has: 100.
-- Of several accounts the fund pays in the order of their numbers: whoever comes
-- after it is brought back to zero all the same, by the next stage.

INSERT INTO ledger.policy (policy_code, stages, fund_cap_per_event) VALUES ('51 capped', '{own,fund,house}', 60), ('51 capped whole', '{own,fund_if_whole,receivable}', 60);
CREATE FUNCTION pg_temp.all_losses(book int) RETURNS TABLE (loss text, paid text, conserved boolean, as_written boolean) LANGUAGE plpgsql AS $$
DECLARE
	case_of text;
BEGIN
	FOREACH case_of IN ARRAY ARRAY['exactly the fund', 'a cent more', 'one cent', 'a fee makes it', 'a chargeback', 'own profit first', 'taken over at the mark', 'three at once', 'healed'] LOOP
		BEGIN
			CASE case_of
				WHEN 'exactly the fund' THEN CALL pg_temp.lose(book, 1, 100);
				WHEN 'a cent more' THEN CALL pg_temp.lose(book, 1, 100.01);
				WHEN 'one cent' THEN CALL pg_temp.lose(book, 1, 0.01);
				WHEN 'a fee makes it' THEN
					PERFORM risk.deposit(1, 50, book);
					CALL pg_temp.lose(book, 1, 51, 3);
				WHEN 'a chargeback' THEN
					PERFORM risk.deposit(1, 50, book);
					CALL pg_temp.lose(book, 1, 60);
					INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (book, 1, risk.system_account(book, 'external', 'USDT'), 7, 'chargeback');
				-- 30 of profit at the mark, 20 of it needed
				WHEN 'own profit first' THEN
					CALL pg_temp.fill(book, 1, 4, 5112, 3, 90);
					CALL pg_temp.lose(book, 1, 20);
				-- 30 of profit and 45 of loss at the marks, 10 missing: 25 are the shortfall
				WHEN 'taken over at the mark' THEN
					CALL pg_temp.fill(book, 1, 4, 5112, 3, 90);
					CALL pg_temp.fill(book, 1, 4, 5113, 5, 109);
					CALL pg_temp.lose(book, 1, 10);
				WHEN 'three at once' THEN
					CALL pg_temp.lose(book, 3, 40);
					CALL pg_temp.lose(book, 1, 40);
					CALL pg_temp.lose(book, 2, 40);
				WHEN 'healed' THEN
					CALL pg_temp.lose(book, 1, 40);
					PERFORM risk.deposit(1, 40, book);
			END CASE;
			SELECT case_of, s.* INTO loss, paid, conserved, as_written FROM pg_temp.settled(book) s;
			RAISE raise_exception USING MESSAGE = 'undone';
		EXCEPTION WHEN check_violation THEN
			loss := case_of; paid := 'refused: ' || SQLERRM; conserved := NULL; as_written := NULL;
		WHEN raise_exception THEN
			NULL;
		END;
		RETURN NEXT;
	END LOOP;
END
$$;
CALL pg_temp.venue(5100, 'default', 100);
SELECT * FROM pg_temp.all_losses(5100);
CALL pg_temp.venue(5101, 'nebannpet', 100);
SELECT * FROM pg_temp.all_losses(5101);
CALL pg_temp.venue(5102, 'coinex', 100);
SELECT * FROM pg_temp.all_losses(5102);
CALL pg_temp.venue(5103, 'shared_loss', 100);
SELECT * FROM pg_temp.all_losses(5103);
CALL pg_temp.venue(5104, 'strict', 100);
SELECT * FROM pg_temp.all_losses(5104);
CALL pg_temp.venue(5105, '51 capped', 100);
SELECT * FROM pg_temp.all_losses(5105);
CALL pg_temp.venue(5106, '51 capped whole', 100);
SELECT * FROM pg_temp.all_losses(5106);

-- 2. A child account with a rich parent: what was allocated is all that it loses

CALL pg_temp.venue(5107, 'electra', 100);
SELECT risk.deposit(1, 5000, 5107) > 0 AS rich;
SELECT risk.open_isolated(1, 5112, 50, book_id => 5107) AS child \gset
BEGIN;
CALL pg_temp.fill(5107, :child, 4, 5112, 5, 100, kind => 'liquidation');
CALL pg_temp.fill(5107, 4, :child, 5112, 5, 85, kind => 'liquidation');
SELECT replace(paid, :'child' || ':', 'child:') AS paid, conserved, as_written FROM pg_temp.settled(5107);
SELECT amount AS parent FROM ledger.balance WHERE book_id = 5107 AND account_id = 1;
COMMIT;

-- 3. The liquidity account unwinds what it took over.  What it gains is the fund's,
-- what it loses is paid by its own profit, then the fund, then the house.  Alice has 10 long from 100 with 5, and loses 20 elsewhere.

CALL pg_temp.venue(5108, 'electra', 40);
SELECT risk.deposit(1, 5, 5108) > 0 AS paid;
BEGIN;
CALL pg_temp.fill(5108, 1, 4, 5112, 10, 100);
CALL pg_temp.lose(5108, 1, 20);
SELECT * FROM pg_temp.settled(5108);
COMMIT;
SELECT account_id > 0 AS trader, qty, cost FROM ledger.position WHERE book_id = 5108 AND qty <> 0 ORDER BY account_id;
-- 2 in 10 contracts up, of which 5 are closed with 10 of profit: the fund has 25 and those 10
SELECT risk.system_account(5108, 'liquidity', 'USDT') AS liquidity \gset
UPDATE ledger.mark_price SET price = 102 WHERE instrument_id = 5112;
CALL pg_temp.fill(5108, 4, :liquidity, 5112, 5, 102);
SELECT kind, amount FROM ledger.fund_history WHERE book_id = 5108 AND kind = 'takeover_result';
-- and the other 5 with a loss of 50 against the mark, a fund of 35, and 15 for the house
BEGIN;
CALL pg_temp.fill(5108, 4, :liquidity, 5112, 5, 90);
SELECT replace(paid, :'liquidity' || ':', 'liquidity:') AS paid, conserved, as_written FROM pg_temp.settled(5108);
COMMIT;
SELECT kind, sum(b.amount) AS balance FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE book_id = 5108 AND kind IN ('liquidity', 'insurance_fund', 'house') AND asset_code = 'USDT' GROUP BY kind ORDER BY kind;
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 5112;

-- 4. What the liquidity account can carry: with 10 % of the notional as its
-- stress, 100 of its own and 45 left in the fund stand behind 1,450

CALL pg_temp.venue(5109, 'electra', 60);
UPDATE ledger.book SET takeover_stress_rate = 0.1 WHERE book_id = 5109;
SELECT risk.system_account(5109, 'liquidity', 'USDT') AS liquidity \gset
SELECT risk.deposit(:liquidity, 100, 5109) > 0 AS paid;
BEGIN;
CALL pg_temp.fill(5109, 1, 4, 5112, 10, 100);
CALL pg_temp.fill(5109, 1, 4, 5113, 4.5, 100);
CALL pg_temp.lose(5109, 1, 15);
COMMIT;
SELECT account_id, instrument_id, qty, for_adl FROM ledger.takeover WHERE book_id = 5109 ORDER BY takeover_id;
-- no more than that: the latest is for others.  Bob's short meets what is there, and carries nothing itself
BEGIN;
CALL pg_temp.fill(5109, 4, 2, 5113, 4, 100);
CALL pg_temp.fill(5109, 3, 4, 5112, 1, 100);
CALL pg_temp.fill(5109, 3, 4, 5113, 5, 100);
CALL pg_temp.lose(5109, 3, 0.01);
CALL pg_temp.lose(5109, 2, 0.01);
COMMIT;
SELECT account_id, instrument_id, qty, for_adl FROM ledger.takeover WHERE book_id = 5109 ORDER BY takeover_id OFFSET 2;
UPDATE ledger.book SET takeover_stress_rate = 0 WHERE book_id = 5109;
UPDATE ledger.book SET takeover_stress_rate = 1.1 WHERE book_id = 5109;

-- 5. A fund for one instrument pays for it first, the shared one what is left,
-- and it pays for nothing else

INSERT INTO ledger.policy (policy_code, stages, fund_scope) VALUES ('51 by instrument', '{own,fund,house}', 'instrument'),
	('51 whole by instrument', '{own,fund_if_whole,suspense,fund,house}', 'instrument');
INSERT INTO ledger.policy (policy_code, stages, fund_scope, fund_cap_per_event) VALUES ('51 capped by instrument', '{own,fund,house}', 'instrument', 35);
CALL pg_temp.venue(5110, '51 by instrument', 50);
SELECT risk.open_fund(5110, 5111) AS own \gset
SELECT risk.open_fund(5110, 5111) = :own AS once, risk.system_account(5110, 'insurance_fund', 'USDT') <> :own AS not_the_shared_one;
SELECT risk.deposit(:own, 30, 5110) > 0 AS paid;
CREATE TEMP VIEW by_fund AS
SELECT r.account_id, r.stage, r.amount, a.fund_instrument_id AS fund, r.payer_before, r.payer_after
  FROM ledger.reset r JOIN ledger.account a ON a.book_id = r.book_id AND a.account_id = r.payer_account WHERE r.book_id = 5110 ORDER BY r.reset_id;
BEGIN;
CALL pg_temp.lose(5110, 1, 40);
SELECT conserved, as_written FROM pg_temp.settled(5110);
SELECT * FROM by_fund;
ROLLBACK;
-- another instrument, and one policy that knows the shared fund alone
BEGIN;
CALL pg_temp.fill(5110, 1, 4, 5112, 1, 1000);
CALL pg_temp.fill(5110, 4, 1, 5112, 1, 960);
UPDATE ledger.account SET policy_code = 'electra' WHERE book_id = 5110 AND account_id = 2;
CALL pg_temp.lose(5110, 2, 5);
SELECT conserved, as_written FROM pg_temp.settled(5110);
SELECT * FROM by_fund;
ROLLBACK;
-- a cap counts both, the whole loss is that of both, and both pay what stands on suspense
BEGIN;
UPDATE ledger.account SET policy_code = '51 capped by instrument' WHERE book_id = 5110 AND account_id = 1;
UPDATE ledger.account SET policy_code = '51 whole by instrument' WHERE book_id = 5110 AND account_id IN (2, 3);
CALL pg_temp.lose(5110, 1, 40);
CALL pg_temp.lose(5110, 2, 45);
CALL pg_temp.lose(5110, 3, 0.01);
SELECT conserved, as_written FROM pg_temp.settled(5110);
SELECT * FROM by_fund;
ROLLBACK;
UPDATE ledger.account SET policy_code = '51 whole by instrument' WHERE book_id = 5110 AND account_id = 1;
CALL pg_temp.lose(5110, 1, 81);
SELECT stage, (SELECT a.fund_instrument_id FROM ledger.account a WHERE a.book_id = 5110 AND a.account_id = s.account_id) AS fund, amount FROM risk.settle(5110) s;
SELECT fund_instrument_id AS fund, balance FROM ledger.fund_status WHERE book_id = 5110 AND asset_code = 'USDT' ORDER BY account_id DESC;
-- what no fund can be
SELECT risk.open_fund(5110, 99999);
SELECT risk.open_fund(99999, 5111);
\set VERBOSITY sqlstate
UPDATE ledger.account SET fund_instrument_id = 5112 WHERE book_id = 5110 AND account_id = :own;
INSERT INTO ledger.account (book_id, account_id, asset_code, fund_instrument_id) VALUES (5110, 77, 'USDT', 5112);
\set VERBOSITY default
SELECT * FROM risk.verify() WHERE violations > 0;
