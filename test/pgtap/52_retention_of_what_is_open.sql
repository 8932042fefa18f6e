-- Periods leave while what happened in them is still open: a debt, a shortfall on
-- suspense, a takeover, a position with a stop order.  Needs the extensions pgtap and risk_ext.
\set QUIET on
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
BEGIN;
SELECT no_plan();
\ir passing_days.psql
CREATE PROCEDURE pg_temp.fill(buyer bigint, seller bigint, qty numeric, price numeric, execution bigint) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id) VALUES (buyer, 1, 'buy', qty, price, execution), (seller, 1, 'sell', qty, price, execution)
$$;

-- Six days ago alice lost 500 more than she had: the fund had 210 of it, 290 are
-- receivable.  Bob lost 60 more, which nobody had: they stand on suspense.  Carol
-- lost 10 more, and paid them back on the same day.  Erin lost 160 more, for which
-- auto-deleveraging closes the contract that was taken over from her.
SELECT pg_temp.install_by_day() \g /dev/null
INSERT INTO ledger.asset VALUES ('USDT', 2);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC/USDT', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 900);
INSERT INTO ledger.policy (policy_code, stages, recourse) VALUES ('receivable', '{own,fund,receivable}', 'debt');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('suspended', '{own,fund,suspense,socialise}');
INSERT INTO ledger.policy (policy_code, stages, adl_guard) VALUES ('deleveraged', '{own,fund,suspense,adl,house}', 'equity');
INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
VALUES (1, 'USDT', 'alice', 'receivable'), (2, 'USDT', 'bob', 'suspended'), (3, 'USDT', 'carol', 'receivable'), (4, 'USDT', 'dan', 'default'), (6, 'USDT', 'erin', 'deleveraged'), (5, 'USDT', 'maker', 'default');
SELECT risk.system_account(1, 'insurance_fund', 'USDT') AS fund, risk.system_account(1, 'receivable', 'USDT') AS receivable, risk.system_account(1, 'liquidity', 'USDT') AS liquidity \gset
SELECT risk.deposit(1, 500), risk.deposit(2, 40), risk.deposit(3, 90), risk.deposit(4, 1000), risk.deposit(6, 40), risk.deposit(5, 100000), risk.deposit(:fund, 210) \gset
CALL pg_temp.fill(3, 5, 1, 1000, 1);
CALL pg_temp.fill(5, 3, 1, 900, 2);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT risk.deposit(3, 30) \g /dev/null
CALL pg_temp.fill(1, 5, 10, 1000, 3);
CALL pg_temp.fill(5, 1, 10, 900, 4);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CALL pg_temp.fill(2, 5, 1, 1000, 5);
CALL pg_temp.fill(5, 2, 1, 900, 6);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CALL pg_temp.fill(6, 5, 2, 1000, 7);
CALL pg_temp.fill(5, 6, 1, 900, 8);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CALL pg_temp.fill(4, 5, 1, 900, 9);
INSERT INTO ledger.stop_order (account_id, instrument_id, side, trigger_price, qty) VALUES (4, 1, 'sell', 880, 1);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
PREPARE paid AS SELECT account_id, stage, amount FROM ledger.reset ORDER BY reset_id;
PREPARE claims AS SELECT c.* FROM ledger.open_shortfall s, risk.loss_claims(s.book_id, s.shortfall_id) c WHERE s.account_id = 2;
SELECT results_eq('paid', $$VALUES (3::bigint, 'fund', 10.00), (1, 'fund', 210.00), (1, 'receivable', 290.00), (2, 'suspense', 60.00), (6, 'suspense', 160.00)$$, 'who paid');
SELECT results_eq('claims', 'VALUES (5::bigint, 1400.00, 1400.00)', 'who could be asked for the rest');
SELECT risk.deposit(1, 100) \g /dev/null
SELECT pg_temp.let_days_pass(6);
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'the books are right');
SELECT risk.seal() \g /dev/null

-- All of it goes, but for what is open and what has a row in a table without periods
SELECT isnt_empty('SELECT risk.retire(pg_temp.today() - 2)', 'what is old goes');
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'the books are proven from the checkpoint on');
SELECT results_eq('paid', $$VALUES (3::bigint, 'fund', 10.00), (1, 'fund', 210.00), (1, 'receivable', 290.00), (2, 'suspense', 60.00), (6, 'suspense', 160.00)$$, 'resets stay that are open or a debt');
SELECT results_eq('SELECT execution_id, account_id = 6 FROM ledger.trade ORDER BY 1, 2', 'VALUES (-1::bigint, false), (-1, true)', 'trades do not, but for a takeover that auto-deleveraging asks for');
SELECT results_eq('claims', 'VALUES (5::bigint, 1400.00, 1400.00)', 'nor what they realised, but it counts');

-- What is open goes on
SELECT risk.deposit(1, 250) \g /dev/null
SELECT results_eq('SELECT payee_account, sum(amount) FROM ledger.repayment GROUP BY payee_account ORDER BY payee_account',
				  format('VALUES (%s::bigint, 290.00), (%s, 70.00)', :receivable, :fund), 'repayments reach the payers in reverse order');
SELECT risk.deposit(1, 200) \g /dev/null
SELECT results_eq('SELECT status, amount FROM ledger.account JOIN ledger.balance USING (book_id, account_id) WHERE account_id = 1',
				  $$VALUES ('active', 50.00)$$, 'who has paid it all back is free');
SELECT risk.settle() \g /dev/null
SELECT is_empty('SELECT * FROM ledger.open_shortfall', 'the shortfalls on suspense are placed');
SELECT results_eq('SELECT stage, account_id, amount, claim FROM ledger.shortfall_payment ORDER BY payment_id',
				  format('VALUES (''socialise'', 5::bigint, 60.00, 1400.00), (''adl'', %s, 160.00, NULL)', :liquidity), 'by who gained, and by auto-deleveraging');
UPDATE ledger.mark_price SET price = 879 WHERE instrument_id = 1;
SELECT results_eq('SELECT account_id, closed_qty, mark_price FROM risk.trigger_stop_orders()', 'VALUES (4::bigint, 1::numeric, 879::numeric)', 'a stop order goes out');
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT is_empty('SELECT * FROM pg_temp.faults()', 'and the books are right');

SELECT * FROM finish();
ROLLBACK;
