-- Rules at the edges of who pays, as far as they are not beside the stage that
-- they are about (50 to 57): resets of frozen accounts, several in one
-- transaction, debts from every kind of loss, and rules that change meanwhile.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (6710, 'A of 67', 'USDT'), (6711, 'B of 67', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (6710, 100), (6711, 100);
CREATE TEMP SEQUENCE execution START 67001;
INSERT INTO ledger.policy (policy_code, stages, recourse, freeze_scope, penalty_rate) VALUES
	('67 debt', '{own,fund,receivable}', 'debt', 'account', 0), ('67 debt of owner', '{own,fund,receivable}', 'debt', 'owner', 0),
	('67 late fund', '{own,suspense,fund,house}', 'none', 'account', 0), ('67 shared', '{own,fund,suspense,socialise,receivable}', 'debt', 'account', 0);

-- A book with traders who have nothing, a maker and a fund.
CREATE PROCEDURE pg_temp.venue(book int, policy text, fund numeric) LANGUAGE sql AS $$
	SELECT risk.create_book(book, 'edges');
	INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
	SELECT book, n, 'USDT', owner, CASE owner WHEN 'maker' THEN 'default' ELSE policy END
	  FROM unnest(ARRAY['alice', 'bob', 'carol', 'maker']) WITH ORDINALITY AS u(owner, n);
	SELECT risk.deposit(4, 100000, book), risk.deposit(risk.system_account(book, 'insurance_fund', 'USDT'), fund, book)
$$;
CREATE PROCEDURE pg_temp.fill(book int, buyer bigint, seller bigint, instrument int, qty numeric, price numeric, kind text DEFAULT 'trade') LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, kind, execution_id)
	SELECT book, s.account, instrument, s.side, qty, price, kind, e.id
	  FROM (SELECT nextval('execution') AS id) e, (VALUES (buyer, 'buy'), (seller, 'sell')) AS s(account, side)
$$;
CREATE PROCEDURE pg_temp.lose(book int, account bigint, amount numeric) LANGUAGE plpgsql AS $$
BEGIN
	CALL pg_temp.fill(book, account, 4, 6710, 1, 10000);
	CALL pg_temp.fill(book, 4, account, 6710, 1, 10000 - amount);
END
$$;
-- the last lines of what one statement says
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN format('%s: %s', SQLSTATE, regexp_replace(SQLERRM, '^(trade|transfer) \d+', '\1 N'));
END
$$;
CREATE TEMP VIEW worth AS
SELECT a.book_id, a.account_id, CASE WHEN a.kind <> 'trader' THEN a.kind WHEN a.parent_id IS NULL THEN a.owner_id ELSE a.owner_id || ', isolated' END AS party,
	   (SELECT sum(b.amount) FROM ledger.balance b WHERE b.book_id = a.book_id AND b.account_id = a.account_id)
	   + coalesce((SELECT sum(v.unrealized_pnl) FROM ledger.position_value v WHERE v.book_id = a.book_id AND v.account_id = a.account_id), 0) AS equity
  FROM ledger.account a WHERE a.kind NOT IN ('clearing', 'external') AND a.asset_code = 'USDT';
CREATE TEMP TABLE before AS SELECT * FROM worth WITH NO DATA;
CREATE PROCEDURE pg_temp.remember(book int) LANGUAGE sql AS $$
	DELETE FROM before;
	INSERT INTO before SELECT * FROM worth WHERE book_id = book
$$;
CREATE TEMP VIEW change AS
SELECT w.party, trim_scale(w.equity - b.equity) AS change FROM worth w JOIN before b USING (book_id, account_id) WHERE w.equity <> b.equity
UNION ALL SELECT 'together', trim_scale(sum(w.equity - b.equity)) FROM worth w JOIN before b USING (book_id, account_id) ORDER BY 2, 1;
CREATE TEMP VIEW resets AS
SELECT r.book_id, a.owner_id, r.stage, r.shortfall, r.amount, r.payer_before, r.payer_after, r.cause_kind, r.policy_version
  FROM ledger.reset r JOIN ledger.account a USING (book_id, account_id) ORDER BY r.reset_id;
CREATE TEMP VIEW debts AS
SELECT d.book_id, a.owner_id, a.status, d.principal, d.repaid, d.waived, d.settled_at IS NOT NULL AS settled
  FROM ledger.debt d JOIN ledger.account a USING (book_id, account_id) ORDER BY d.debt_id;

-- 1. Reset of a frozen account.  Alice is long 10 from 100 with 50 when an operator
-- freezes her.  Her position is closed by force at 90: 100 lost, 50 missing.  She is
-- reset like anybody, and the freeze is not lifted by it.

CALL pg_temp.venue(671, 'default', 1000);
SELECT risk.deposit(1, 50, 671) > 0 AS paid;
CALL pg_temp.fill(671, 1, 4, 6711, 10, 100);
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 671 AND account_id = 1;
SELECT pg_temp.try('CALL pg_temp.fill(671, 1, 4, 6711, 1, 90)');
CALL pg_temp.remember(671);
BEGIN;
CALL pg_temp.fill(671, 4, 1, 6711, 10, 90, 'liquidation');
SELECT * FROM change;
CALL pg_temp.remember(671);
COMMIT;
SELECT * FROM change;
SELECT owner_id, stage, shortfall, amount, payer_before, payer_after FROM resets WHERE book_id = 671;
SELECT balance, status FROM ledger.account_risk WHERE book_id = 671 AND account_id = 1;

-- 2. Frozen for a debt, and below zero once more: two debts.  A deposit pays the
-- older one first, and nothing but the end of both lifts the freeze.  The market's 80
-- are the fund's, and 30 that are charged back the venue's.

CALL pg_temp.venue(672, '67 debt', 100);
SELECT risk.deposit(1, 200, 672) > 0 AS paid;
CALL pg_temp.fill(672, 1, 4, 6711, 10, 100);
CALL pg_temp.lose(672, 1, 280);
-- what she held was taken over, at 100
SELECT owner_id, status, principal, settled FROM debts WHERE book_id = 672;
SELECT pg_temp.try('CALL pg_temp.lose(672, 1, 1)');
-- a fact nevertheless: 30 are charged back
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (672, 1, risk.system_account(672, 'external', 'USDT'), 30, 'chargeback');
SELECT owner_id, stage, shortfall, amount, payer_before, payer_after, cause_kind FROM resets WHERE book_id = 672;
SELECT owner_id, status, principal, settled FROM debts WHERE book_id = 672;
SELECT risk.deposit(1, 100, 672) > 0 AS paid;
SELECT owner_id, status, principal, repaid, settled FROM debts WHERE book_id = 672;
CALL pg_temp.remember(672);
SELECT risk.deposit(1, 15, 672) > 0 AS paid;
-- 10 more to the venue, and 5 stay hers
SELECT * FROM change;
SELECT owner_id, status, principal, repaid, settled FROM debts WHERE book_id = 672;
SELECT risk.withdraw(1, 5, 672) > 0 AS withdrawn;
SELECT stage, amount FROM ledger.repayment WHERE book_id = 672 ORDER BY repayment_id;

-- 3. A debtor who is paid by others: what is moved to her pays the debt, as a deposit
-- does.  What comes to another account of hers, or in a journal of the venue, is held.

CALL pg_temp.venue(673, '67 debt of owner', 10);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code) VALUES (673, 5, 'USDT', 'alice', '67 debt of owner');
SELECT risk.deposit(2, 500, 673) > 0 AS bob;
CALL pg_temp.lose(673, 1, 100);
CALL pg_temp.lose(673, 2, 10);
CALL pg_temp.fill(673, 4, 5, 6711, 1, 100, 'liquidation');
SELECT owner_id, status, principal, repaid FROM debts WHERE book_id = 673;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (673, 2, 1, 30);
SELECT result FROM risk.post_batch(673, '{2}', '{1}', '{20}');
INSERT INTO ledger.journal (book_id, accounts, amounts) VALUES (673, '{2,1}', '{-10,10}');
SELECT owner_id, status, principal, repaid FROM debts WHERE book_id = 673;
-- the owner's other account owes nothing: what comes there is held
SELECT risk.deposit(5, 40, 673) > 0 AS held;
SELECT pg_temp.try('SELECT risk.withdraw(5, 1, 673)');
SELECT account_id, balance, status FROM ledger.account_risk WHERE book_id = 673 AND owner_id = 'alice' ORDER BY account_id;
SELECT risk.deposit(1, 41, 673) > 0 AS paid;
SELECT account_id, balance, status FROM ledger.account_risk WHERE book_id = 673 AND owner_id = 'alice' ORDER BY account_id;

-- 4. Waived: to the last unit of what is owed and has not been repaid, and not one more

CALL pg_temp.venue(674, '67 debt', 10);
CALL pg_temp.lose(674, 1, 100);
SELECT debt_id AS debt FROM ledger.debt WHERE book_id = 674 \gset
SELECT risk.deposit(1, 40, 674) > 0 AS paid;
\set VERBOSITY sqlstate
SELECT risk.waive(:debt, 60.01, 'too much', 674);
SELECT risk.waive(:debt, 0, 'nothing', 674);
SELECT risk.waive(:debt, 0.001, 'less than a cent', 674);
\set VERBOSITY default
-- the venue had paid 90 and has 40 back: the house takes over 50, and the fund's 10 are gone
CALL pg_temp.remember(674);
SELECT risk.waive(:debt, 60, 'hardship', 674);
SELECT * FROM change;
SELECT owner_id, status, principal, repaid, waived, settled FROM debts WHERE book_id = 674;
\set VERBOSITY sqlstate
SELECT risk.waive(:debt, 0.01, 'once more', 674);
\set VERBOSITY default

-- 5. A chargeback below zero costs the fund nothing under any policy, not even where
-- its stages after the commit name it; with recourse it is owed like any other loss

CALL pg_temp.venue(675, '67 late fund', 1000);
UPDATE ledger.account SET policy_code = '67 debt' WHERE book_id = 675 AND account_id = 2;
UPDATE ledger.account SET policy_code = '67 shared' WHERE book_id = 675 AND account_id = 3;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT 675, n, risk.system_account(675, 'external', 'USDT'), 70 + n, 'chargeback' FROM generate_series(1, 3) n;
SELECT owner_id, stage, shortfall, amount, cause_kind FROM resets WHERE book_id = 675;
SELECT stage, amount FROM risk.settle(675);
SELECT owner_id, status, principal FROM debts WHERE book_id = 675;
SELECT balance FROM ledger.fund_status WHERE book_id = 675 AND asset_code = 'USDT';

-- 6. What is placed after the commit, with exactly as much in the fund, and a unit less

CALL pg_temp.venue(676, '67 late fund', 100);
CALL pg_temp.lose(676, 1, 100);
CALL pg_temp.remember(676);
SELECT stage, amount FROM risk.settle(676);
SELECT * FROM change;
SELECT risk.deposit(risk.system_account(676, 'insurance_fund', 'USDT'), 99.99, 676) > 0 AS paid;
CALL pg_temp.lose(676, 2, 100);
CALL pg_temp.remember(676);
SELECT stage, amount FROM risk.settle(676);
SELECT * FROM change;
-- two at once, with enough for one: the older shortfall first
SELECT risk.deposit(risk.system_account(676, 'insurance_fund', 'USDT'), 100, 676) > 0 AS paid;
BEGIN;
CALL pg_temp.lose(676, 3, 60);
CALL pg_temp.lose(676, 1, 60);
COMMIT;
SELECT a.owner_id, s.stage, s.amount FROM risk.settle(676) s JOIN ledger.shortfall f ON f.book_id = 676 AND f.shortfall_id = s.shortfall_id
  JOIN ledger.account a ON a.book_id = 676 AND a.account_id = f.account_id;

-- 7. Twice in one transaction, judged in the middle: two shortfalls, each with its
-- cause, its payers and its debt.  70 of the fund's 100 for the first, 30 for the
-- second, and 10 are receivable.

CALL pg_temp.venue(677, '67 debt', 100);
UPDATE ledger.account SET policy_code = '67 shared' WHERE book_id = 677 AND account_id = 2;
BEGIN;
CALL pg_temp.lose(677, 1, 70);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT status FROM ledger.account WHERE book_id = 677 AND account_id = 1;
-- she is frozen by now, so it is a forced trade that loses again
CALL pg_temp.fill(677, 1, 4, 6710, 1, 140, 'liquidation');
SET CONSTRAINTS ALL DEFERRED;
CALL pg_temp.fill(677, 4, 1, 6710, 1, 100, 'liquidation');
COMMIT;
SELECT owner_id, stage, shortfall, amount, payer_before, payer_after FROM resets WHERE book_id = 677;
SELECT owner_id, status, principal, repaid FROM debts WHERE book_id = 677;
-- what stands on suspense stands there twice, too
BEGIN;
CALL pg_temp.lose(677, 2, 5);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CALL pg_temp.fill(677, 2, 4, 6710, 1, 107, 'liquidation');
CALL pg_temp.fill(677, 4, 2, 6710, 1, 100, 'liquidation');
COMMIT;
SELECT remaining FROM ledger.open_shortfall WHERE book_id = 677 ORDER BY shortfall_id;
SELECT a.owner_id, s.stage, s.amount FROM risk.settle(677) s JOIN ledger.account a ON a.book_id = 677 AND a.account_id = s.account_id;
-- reset and then healed: what was paid in comes too late, and pays the debt
BEGIN;
CALL pg_temp.lose(677, 3, 20);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT risk.deposit(3, 20, 677) > 0 AS paid;
COMMIT;
SELECT owner_id, status, principal, repaid, settled FROM debts WHERE book_id = 677 AND owner_id = 'carol';

-- 8. The policy changes between the loss and the commit: what is in force at the
-- commit counts, also where the account was given another one; and what stands on
-- suspense is settled by the version of its loss

CALL pg_temp.venue(678, '67 late fund', 1000);
BEGIN;
CALL pg_temp.lose(678, 1, 10);
UPDATE ledger.account SET policy_code = '67 debt' WHERE book_id = 678 AND account_id = 1;
COMMIT;
CALL pg_temp.lose(678, 2, 20);
SELECT risk.change_policy('67 late fund', '{"stages": ["own", "fund", "house"]}');
CALL pg_temp.lose(678, 3, 30);
SELECT owner_id, stage, amount, policy_version FROM resets WHERE book_id = 678;
SELECT owner_id, status, principal FROM debts WHERE book_id = 678;
SELECT stage, amount FROM risk.settle(678);
-- a debt is a debt, whatever the policy says since
SELECT risk.change_policy('67 debt', '{"recourse": "none"}');
CALL pg_temp.fill(678, 1, 4, 6710, 1, 105, 'liquidation');
CALL pg_temp.fill(678, 4, 1, 6710, 1, 100, 'liquidation');
SELECT owner_id, stage, amount, policy_version FROM resets WHERE book_id = 678 AND owner_id = 'alice';
SELECT owner_id, status, principal FROM debts WHERE book_id = 678;
SELECT risk.deposit(1, 4, 678) > 0 AS paid;
SELECT owner_id, status, principal, repaid FROM debts WHERE book_id = 678;

-- 9. A child account with a rich parent, with recourse: the child owes, the owner is
-- frozen, and the parent keeps all it has until it is paid

CALL pg_temp.venue(679, '67 debt of owner', 10);
SELECT risk.deposit(1, 500, 679) > 0 AS paid;
SELECT risk.open_isolated(1, 6711, 0, book_id => 679, child_id => 11);
SELECT risk.add_margin(11, 50, 679) > 0 AS added;
CALL pg_temp.fill(679, 11, 4, 6711, 1, 100, 'liquidation');
CALL pg_temp.remember(679);
CALL pg_temp.fill(679, 4, 11, 6711, 1, 20, 'liquidation');
SELECT * FROM change;
SELECT account_id, balance, status FROM ledger.account_risk WHERE book_id = 679 AND owner_id = 'alice' ORDER BY account_id;
SELECT owner_id, principal FROM debts WHERE book_id = 679;

-- 10. A loss greater than all claims, with recourse: everybody gives all that he has
-- gained, the venue the rest, and all of it is owed.  Alice, long 20 from 100 with 100,
-- is sold out at 80: 300 are missing, and the fund has 50.  On the other side is
-- her second account, which is not asked; it has bought from bob, 10 at 95, and
-- carol, 4 at 90.  They have gained 150 and 40; 60 are left for the venue.

CALL pg_temp.venue(680, '67 shared', 50);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code) VALUES (680, 5, 'USDT', 'alice', '67 shared');
SELECT risk.deposit(1, 100, 680) > 0 AS alice, risk.deposit(2, 300, 680) > 0 AS bob, risk.deposit(3, 300, 680) > 0 AS carol, risk.deposit(5, 2000, 680) > 0 AS alices_other;
CALL pg_temp.fill(680, 1, 5, 6711, 20, 100);
CALL pg_temp.fill(680, 5, 2, 6711, 10, 95);
CALL pg_temp.fill(680, 5, 3, 6711, 4, 90);
UPDATE ledger.mark_price SET price = 80 WHERE instrument_id = 6711;
CALL pg_temp.remember(680);
CALL pg_temp.fill(680, 5, 1, 6711, 20, 80, 'liquidation');
SELECT * FROM change;
CALL pg_temp.remember(680);
SELECT coalesce(a.owner_id, a.kind) AS party, s.stage, s.amount FROM risk.settle(680) s JOIN ledger.account a ON a.book_id = 680 AND a.account_id = s.account_id;
SELECT * FROM change;
SELECT owner_id, status, principal FROM debts WHERE book_id = 680;
-- she pays 260 back: the venue 60 first, then carol 40 and bob 150, who paid before it,
-- and 10 of the fund's 50
CALL pg_temp.remember(680);
SELECT risk.deposit(1, 260, 680) > 0 AS paid;
SELECT * FROM change;
SELECT owner_id, status, principal, repaid FROM debts WHERE book_id = 680;

SELECT * FROM ledger.open_shortfall WHERE book_id BETWEEN 671 AND 680;
SELECT b.book_id, v.* FROM generate_series(671, 680) AS b(book_id), LATERAL risk.verify(b.book_id) v WHERE v.violations > 0;
