-- Recourse: what others paid is owed.  Nebannpet's flash crash: liquidation price
-- 50,000, executed at 48,000, back at 52,000 seconds later.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5301, 'BTC of 530', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5301, 55000);
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 53001;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 53001;
ALTER TABLE ledger.journal ALTER journal_id RESTART WITH 53001;
ALTER TABLE ledger.debt ALTER debt_id RESTART WITH 531;
ALTER TABLE ledger.freeze ALTER freeze_id RESTART WITH 531;
CREATE TEMP SEQUENCE execution START 53001;
INSERT INTO ledger.policy (policy_code, stages, recourse, freeze_scope, penalty_rate, penalty_grace)
VALUES ('debtors', '{own,fund,receivable}', 'debt', 'owner', 0.001, '1 day'),
	   ('debtor accounts', '{own,fund,suspense,socialise}', 'debt', 'account', 0, '0');
SELECT risk.create_book(530, 'debts');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (530, 1, 'USDT', 'alice', 'debtors'), (530, 2, 'USDT', 'alice', 'debtors'), (530, 3, 'USDT', 'bob', 'debtor accounts'), (530, 4, 'USDT', 'maker', 'electra');
SELECT risk.deposit(1, 10000, 530) > 0 AS alice, risk.deposit(2, 100, 530) > 0 AS alices_other, risk.deposit(4, 1000000, 530) > 0 AS maker,
	   risk.deposit(risk.system_account(530, 'insurance_fund', 'USDT'), 1500, 530) > 0 AS fund;
CREATE PROCEDURE pg_temp.fill(buyer bigint, seller bigint, qty numeric, price numeric, kind text DEFAULT 'trade') LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, kind, execution_id)
	SELECT 530, s.account, 5301, s.side, qty, price, kind, e.id
	  FROM (SELECT nextval('execution') AS id) e, (VALUES (buyer, 'buy'), (seller, 'sell')) AS s(account, side)
$$;
CREATE TEMP VIEW stands AS
SELECT coalesce(a.owner_id || ' ' || a.account_id, a.kind) AS party, a.status, sum(b.amount) AS balance
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 530 AND a.asset_code = 'USDT' AND a.kind IN ('trader', 'insurance_fund', 'receivable', 'house', 'suspense', 'fee') AND a.owner_id IS DISTINCT FROM 'maker'
 GROUP BY a.account_id, a.owner_id, a.kind, a.status ORDER BY a.account_id DESC;
CREATE TEMP VIEW debts AS
SELECT d.debt_id, d.account_id, d.principal, d.penalty, d.repaid, d.waived, d.settled_at IS NOT NULL AS settled, o.outstanding, o.overdue
  FROM ledger.debt d LEFT JOIN ledger.open_debt o USING (book_id, debt_id) WHERE d.book_id = 530 ORDER BY d.debt_id;
CREATE TEMP VIEW notices AS
SELECT e.kind, e.account_id, e.payload - 'freeze_id' - 'shortfall_id' - 'source_id' AS payload FROM ledger.event e
 WHERE e.book_id = 530 AND e.kind IN ('debt', 'freeze', 'unfreeze', 'repayment', 'waiver', 'instalment_due', 'debt_settled') ORDER BY e.event_id;

-- 1. Long 2 at 55,000 with 10,000: where it is used up, at 50,000, is the
-- liquidation price.  Closed at 48,000 the account is 4,000 short: the fund has
-- 1,500 of it, 2,500 are receivable, and all 4,000 are owed.

CALL pg_temp.fill(1, 4, 2, 55000);
SELECT liquidation_price FROM ledger.position_risk WHERE book_id = 530 AND account_id = 1;
UPDATE ledger.mark_price SET price = 48000 WHERE instrument_id = 5301;
CALL pg_temp.fill(4, 1, 2, 48000, 'liquidation');
UPDATE ledger.mark_price SET price = 52000 WHERE instrument_id = 5301;
SELECT * FROM stands;
SELECT * FROM debts;
SELECT * FROM notices;
SELECT account_id, equity, overdue_debt FROM ledger.account_risk WHERE book_id = 530 AND account_id = 1;
-- frozen at once, with all the owner has here: no trade, no withdrawal, also of an account opened now
CALL pg_temp.fill(2, 4, 0.001, 52000);
SELECT risk.withdraw(2, 1, 530);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code) VALUES (530, 5, 'USDT', 'alice', 'debtors');
SELECT account_id, status FROM ledger.account WHERE book_id = 530 AND owner_id = 'alice' ORDER BY account_id;
-- only the debt's end lifts it
UPDATE ledger.account SET status = 'active' WHERE book_id = 530 AND account_id = 1;
SELECT risk.lift_freeze(531, 'debt', 'please', 530);
SELECT risk.lift_freeze(531, 'operator', 'please', 530);

-- 2. A deposit cannot be refused: it pays the debt first, the receivable before the fund

SELECT risk.deposit(1, 1000, 530) > 0 AS paid;
SELECT * FROM stands;
SELECT * FROM debts;
SELECT payee_account = risk.system_account(530, 'receivable', 'USDT') AS receivable, stage, amount FROM ledger.repayment WHERE book_id = 530;

-- 3. Instalments: 3,000 in seven parts of whole cents, the first ones a cent more

SELECT * FROM risk.plan_instalments(531, 7, '2026-01-31 00:00 UTC', '1 month', 530);
SELECT sum(amount) FROM ledger.instalment WHERE book_id = 530 AND debt_id = 531;
-- all of them are due, none is paid: still frozen
SELECT account_id, status FROM ledger.account WHERE book_id = 530 AND owner_id = 'alice' ORDER BY account_id;
-- the first was due on January 31, and had a day of grace.  0.1 % of 428.58 for
-- each day begun after it is 0.42, rounded down: two days until February 3 begins,
-- a third from then on
SELECT * FROM risk.accrue_penalties('2026-02-01 00:00 UTC');
SELECT debt_id, instalment, days, penalty FROM risk.accrue_penalties('2026-02-03 00:00 UTC') WHERE book_id = 530;
SELECT debt_id, instalment, days, penalty FROM risk.accrue_penalties('2026-02-03 12:00 UTC') WHERE book_id = 530;
SELECT debt_id, instalment, days, penalty FROM risk.accrue_penalties('2026-02-03 12:00 UTC') WHERE book_id = 530;
SELECT * FROM debts;
SELECT kind, payload->'instalment' AS instalment, payload->'amount' AS amount FROM notices WHERE kind = 'instalment_due';

-- 4. In part: more than there is, more than is owed, nothing

SELECT risk.repay(531, 100, 530);
SELECT risk.repay(531, 99999, 530);
SELECT risk.repay(531, 0, 530);
SELECT risk.repay(531, 0.001, 530);
SELECT risk.repay(99, 1, 530);

-- 5. Waived, case by case: 1,500 are still receivable of the 3,000 and 1.26 of
-- penalty that are outstanding.  After a waiver of 2,000 no more than 1,001.26
-- can be: the house takes over 498.74.

SELECT risk.waive(531, 5000, 'hardship', 530);
SELECT risk.waive(531, 1, '', 530);
SELECT risk.waive(531, 2000, 'hardship', 530);
SELECT * FROM stands;
SELECT * FROM debts;
SELECT instalment, amount, paid FROM ledger.instalment WHERE book_id = 530 AND debt_id = 531 AND paid > 0 ORDER BY instalment;

-- 6. The rest, and more: what is over stays on the account, which is free again.
-- 1,001.26 go to the receivable, which then stands at zero: the fund gets nothing
-- back, since what was waived is what it had paid.

SELECT risk.deposit(2, 500, 530) > 0 AS to_the_other_account;
SELECT risk.deposit(1, 1101.26, 530) > 0 AS paid;
SELECT * FROM stands;
SELECT * FROM debts;
SELECT r.stage, sum(y.amount) FROM ledger.repayment y JOIN ledger.reset r USING (book_id, reset_id) WHERE y.book_id = 530 GROUP BY r.stage;
SELECT risk.repay(531, 1, 530);
CALL pg_temp.fill(2, 4, 0.001, 52000);
SELECT risk.withdraw(1, 100, 530) > 0 AS withdrawn;

-- 7. Freeze by account, and what stands on suspense: bob loses 60, the fund is
-- empty, and what he pays back needs nobody any more

SELECT balance FROM stands WHERE party = 'insurance_fund';
CALL pg_temp.fill(3, 4, 1, 52060);
CALL pg_temp.fill(4, 3, 1, 52000);
SELECT account_id, outstanding FROM debts WHERE account_id = 3;
SELECT status FROM ledger.account WHERE book_id = 530 AND account_id = 3;
SELECT remaining FROM ledger.open_shortfall WHERE book_id = 530;
SELECT risk.deposit(3, 25, 530) > 0 AS paid;
SELECT remaining FROM ledger.open_shortfall WHERE book_id = 530;
SELECT place, result FROM risk.post_batch(530, ARRAY[risk.system_account(530, 'external', 'USDT')], ARRAY[3::bigint], ARRAY[50.0], ARRAY['deposit']);
SELECT count(*) AS open FROM ledger.open_shortfall WHERE book_id = 530;
SELECT * FROM stands WHERE party IN ('bob 3', 'suspense');
-- an account that owes cannot be closed; this one owes nothing any more
SELECT risk.withdraw(3, 15, 530) > 0 AS withdrawn;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 530 AND account_id = 3;

-- 8. An instalment that is not due yet leaves the account free

CALL pg_temp.fill(1, 4, 1, 52200);
CALL pg_temp.fill(4, 1, 1, 52000);
SELECT status FROM ledger.account WHERE book_id = 530 AND account_id = 1;
SELECT instalment, amount FROM risk.plan_instalments(533, 2, '2100-01-01', '1 year', 530);
SELECT status FROM ledger.account WHERE book_id = 530 AND account_id = 1;
SELECT account_id, overdue_debt FROM ledger.account_risk WHERE book_id = 530 AND account_id = 1;
SELECT risk.plan_instalments(533, 2, '2100-01-01', '1 year', 530);
SELECT risk.plan_instalments(533, 0, '2100-01-01', '1 year', 530);
SELECT kind, account_id, payload->>'because' AS because FROM notices WHERE kind = 'unfreeze';

-- 9. What share of all leveraged trades left a balance below zero

SELECT leveraged_trades, negative_balances, share_percent FROM ledger.negative_balance_report WHERE book_id = 530;
-- money moved between accounts only: these kinds are the functions' own
CREATE ROLE regress_risk_53 IN ROLE risk_writer;
SET SESSION AUTHORIZATION regress_risk_53;
INSERT INTO ledger.journal (book_id, accounts, amounts, kind) VALUES (530, '{1,2}', '{-1,1}', 'repayment');
RESET SESSION AUTHORIZATION;
DROP ROLE regress_risk_53;
SELECT * FROM risk.verify() WHERE violations > 0;
