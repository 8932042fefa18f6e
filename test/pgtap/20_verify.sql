-- Does verify() notice?  For each of its checks the books are spoilt the way
-- only their owner can, with the guards off, and the check has to name it.
-- Needs the extensions pgtap and risk_ext, and risk.install().
\set QUIET on
INSERT INTO ledger.asset VALUES ('USDT', 2);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'BTC/USDT', 'USDT'), (2, 'ETH/USDT', 'USDT');
INSERT INTO ledger.mark_price VALUES (1, 90), (2, 150);
INSERT INTO ledger.account (account_id, asset_code, owner_id) VALUES (1, 'USDT', 'alice'), (2, 'USDT', 'bob'), (3, 'USDT', 'carol');
DO $$
BEGIN
	PERFORM risk.deposit(1, 100), risk.deposit(2, 1000), risk.deposit(3, 20);
END
$$;
INSERT INTO ledger.transfer (from_account, to_account, amount)
VALUES (risk.system_account(1, 'external', 'USDT'), risk.system_account(1, 'insurance_fund', 'USDT'), 40);
-- a reset of 50 in two parts, with a takeover; residues; own profit; a fee that was cut
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, fee, execution_id)
VALUES (1, 1, 'buy', 1, 200, 1, 1), (2, 1, 'sell', 1, 200, 0, 1), (1, 2, 'buy', 1, 151, 0, 2), (2, 2, 'sell', 1, 151, 0, 2);
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, fee, execution_id)
VALUES (1, 1, 'sell', 1, 52.001, 5, 3), (2, 1, 'buy', 1, 52.001, 0, 3);
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
VALUES (3, 2, 'buy', 1, 100, 4), (2, 2, 'sell', 1, 100, 4), (3, 1, 'buy', 1, 100, 5), (2, 1, 'sell', 1, 100, 5);
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
VALUES (3, 1, 'sell', 1, 60, 6), (2, 1, 'buy', 1, 60, 6);
-- a funding, and a trade that comes late for it
INSERT INTO ledger.account (account_id, asset_code, owner_id) VALUES (4, 'USDT', 'dave');
DO $$
BEGIN
	PERFORM risk.deposit(4, 1000);
	PERFORM risk.pay_funding(2, -0.001, clock_timestamp());
END
$$;
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (4, 2, 'buy', 1, 150, 7, '2024-01-01'), (2, 2, 'sell', 1, 150, 7, '2024-01-01');
INSERT INTO ledger.order_reserve (account_id, instrument_id, order_id, amount) VALUES (2, 1, 5, 10);
DO $$ BEGIN PERFORM risk.deposit(4, 1, idempotency_key => 'once'), risk.post(1, '{2,4,2}', '{-2,1,1}'); END $$;
DO $$ BEGIN PERFORM risk.reverse_journal(1, 'wrong'), risk.post(1, '{2,4,2}', '{-2,1,1}'); END $$;
-- a hold that is captured in part and released in part
DO $$ BEGIN PERFORM risk.hold(2, 30), risk.capture(1, 10), risk.release(1, 5); END $$;
INSERT INTO ledger.margin_setting (account_id, instrument_id, leverage) VALUES (2, 1, 1);

-- an isolated position
DO $$ BEGIN PERFORM risk.open_isolated(2, 1, 0, child_id => 5); END $$;
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
VALUES (5, 1, 'buy', 1, 90, 8), (2, 1, 'sell', 1, 90, 8);
-- a seal
DO $$ BEGIN PERFORM risk.seal(1); END $$;

-- the slots of the outside, folded, and a floor that was changed
DO $$ BEGIN PERFORM risk.fold_slots(), risk.set_floor(4, -1, 'a credit line'); END $$;
-- exchanges of collateral, between two assets and within one
INSERT INTO ledger.asset VALUES ('BTC', 8);
INSERT INTO ledger.policy (policy_code, stages, collateral_group) VALUES ('group', '{own,fund,house}', true);
INSERT INTO ledger.index_price (asset_code, price) VALUES ('USDT', 1), ('BTC', 100);
INSERT INTO ledger.collateral VALUES ('BTC', 0.1);
INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
VALUES (6, 'USDT', 'erin', 'group'), (7, 'BTC', 'erin', 'group'), (8, 'USDT', 'erin', 'group');
INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
VALUES (risk.system_account(1, 'external', 'BTC'), 7, 1, 'deposit'), (risk.system_account(1, 'external', 'USDT'), 8, 3, 'deposit'),
	   (risk.system_account(1, 'external', 'USDT'), risk.system_account(1, 'liquidity', 'USDT'), 100, 'deposit'),
	   (6, risk.system_account(1, 'external', 'USDT'), 10, 'chargeback');
-- a shortfall that stands on suspense
INSERT INTO ledger.policy (policy_code, stages) VALUES ('shared', '{own,suspense,socialise}');
INSERT INTO ledger.account (account_id, asset_code, policy_code) VALUES (9, 'USDT', 'shared');
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
VALUES (9, 2, 'buy', 1, 150, 9), (2, 2, 'sell', 1, 150, 9), (9, 2, 'sell', 1, 143, 10), (2, 2, 'buy', 1, 143, 10);
-- book 2: a shortfall that was settled, by closing a position, by the fund, by a share and by the house
INSERT INTO ledger.policy (policy_code, stages) VALUES ('settled', '{own,suspense,adl,fund,socialise,house}');
DO $$ BEGIN PERFORM risk.create_book(2, 'settled'); END $$;
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (2, 21, 'USDT', 'alice', 'settled'), (2, 22, 'USDT', 'bob', 'settled'), (2, 23, 'USDT', 'carol', 'settled');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT 2, risk.system_account(2, 'external', 'USDT'), u.account_id, u.amount, 'deposit'
  FROM (VALUES (21, 1), (22, 100), (23, 1000), (risk.system_account(2, 'insurance_fund', 'USDT'), 5)) AS u(account_id, amount);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (2, 21, 1, 'buy', 3, 100, 21), (2, 22, 1, 'sell', 1, 120, 22), (2, 23, 1, 'buy', 1, 120, 22), (2, 23, 1, 'sell', 3, 100, 21);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (2, 21, 1, 'sell', 1, 90, 23), (2, 23, 1, 'buy', 1, 90, 23);
DO $$ BEGIN PERFORM risk.settle(2); END $$;
DO $$ BEGIN PERFORM risk.relay_events(); END $$;

-- debts: one paid in part and waived in part, one agreed on
INSERT INTO ledger.policy (policy_code, stages, recourse) VALUES ('debtor', '{own,receivable}', 'debt');
INSERT INTO ledger.account (account_id, asset_code, policy_code) VALUES (10, 'USDT', 'debtor');
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
VALUES (10, 2, 'buy', 1, 150, 11), (2, 2, 'sell', 1, 150, 11), (10, 2, 'sell', 1, 140, 12), (2, 2, 'buy', 1, 140, 12);
DO $$ BEGIN PERFORM risk.deposit(10, 3); PERFORM risk.waive(1, 2, 'small'); PERFORM risk.plan_instalments(1, 5, now(), '1 day'); END $$;

-- a bust
INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
VALUES (4, 2, 'buy', 1, 170, 13), (2, 2, 'sell', 1, 170, 13);
DO $$ BEGIN PERFORM risk.bust(13, 'wrong print'); END $$;
-- book 2: a liquidation with a fee
INSERT INTO ledger.policy (policy_code, stages, liquidation_fee_base, liquidation_fee_maximum, execution, surplus_to)
VALUES ('liquidated', '{own,fund,house}', 0.1, 0.2, 'mark', 'trader');
INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code) VALUES (2, 24, 'USDT', 'liquidated');
DO $$ BEGIN PERFORM risk.deposit(24, 10, 2); END $$;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (2, 24, 2, 'buy', 1, 150, 24), (2, 23, 2, 'sell', 1, 150, 24);
DO $$ BEGIN PERFORM risk.sweep_account(2, 24); END $$;
-- and an alert
INSERT INTO ledger.policy (policy_code, stages, liquidation_fee_base, liquidation_fee_maximum, alert_levels)
VALUES ('warned', '{own,fund,house}', 0.1, 0.2, '{150}');
INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code) VALUES (2, 25, 'USDT', 'warned');
DO $$ BEGIN PERFORM risk.deposit(25, 20, 2); END $$;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (2, 25, 2, 'buy', 1, 150, 25), (2, 23, 2, 'sell', 1, 150, 25);
DO $$ BEGIN PERFORM risk.alert(2); END $$;

BEGIN;
SELECT no_plan();
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'the books are right');
SELECT is((SELECT count(*) FROM ledger.reset WHERE book_id = 1), 4::bigint, 'there is a reset by two payers, and others');
SELECT ok(EXISTS (SELECT FROM ledger.settlement WHERE kind = 'profit') AND EXISTS (SELECT FROM ledger.settlement WHERE kind = 'residue')
		  AND EXISTS (SELECT FROM ledger.entry WHERE kind = 'fee_cut') AND EXISTS (SELECT FROM ledger.trade WHERE kind = 'takeover')
		  AND EXISTS (SELECT FROM ledger.funding_payment WHERE trade_id = 0) AND EXISTS (SELECT FROM ledger.funding_payment WHERE trade_id > 0)
		  AND EXISTS (SELECT FROM ledger.entry WHERE kind = 'fold')
		  AND EXISTS (SELECT FROM ledger.exchange WHERE asset_code <> from_asset) AND EXISTS (SELECT FROM ledger.exchange WHERE asset_code = from_asset),
		  'there is a row of every sort');
SELECT results_eq('SELECT stage, amount FROM ledger.shortfall_payment WHERE book_id = 2 ORDER BY payment_id',
				  $$VALUES ('adl', 14.5), ('fund', 5.0), ('socialise', 9.5)$$, 'a shortfall was settled');

-- What a check of verify() says after a statement, with nothing of it kept.
CREATE FUNCTION pg_temp.found(check_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	t regclass;
	answer text;
BEGIN
	FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r' LOOP
		EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', t);
	END LOOP;
	EXECUTE statement;
	SELECT v.first_offender INTO answer FROM risk.verify() v WHERE v.check_name = found.check_name AND v.violations > 0;
	RAISE SQLSTATE 'Z0001' USING MESSAGE = coalesce(answer, 'nothing');
EXCEPTION WHEN SQLSTATE 'Z0001' THEN
	RETURN SQLERRM;
END
$$;
CREATE TEMP TABLE spoilt (n int GENERATED ALWAYS AS IDENTITY, check_name text, statement text, names text);
INSERT INTO spoilt (check_name, statement, names) VALUES
	('sum_zero', 'UPDATE ledger.balance SET amount = amount + 1 WHERE account_id = 2', 'asset USDT'),
	('balances', 'UPDATE ledger.balance SET amount = amount + 1 WHERE account_id = 2', 'account 2'),
	('balances', 'UPDATE ledger.balance SET seq = seq + 1 WHERE account_id = 2', 'account 2'),
	('balances', 'UPDATE ledger.balance SET posted_at = posted_at - interval ''1 hour'' WHERE account_id = 2', 'account 2'),
	('balances', 'DELETE FROM ledger.entry WHERE account_id = 2 AND seq = 1', 'account 2'),
	('balances', 'DELETE FROM ledger.balance WHERE account_id = 2', 'account 2'),
	('slots', 'DELETE FROM ledger.balance WHERE account_id = 2', 'account 2'),
	('slots', 'UPDATE ledger.balance SET floor = NULL WHERE account_id = 2', 'account 2'),
	('slots', 'INSERT INTO ledger.balance (book_id, slot, account_id) VALUES (1, 1, 2)', 'account 2'),
	('slots', 'INSERT INTO ledger.account (account_id, asset_code) VALUES (99, ''USDT'')', 'account 99'),
	('slots', 'UPDATE ledger.balance SET floor = 0 WHERE slot > 0', 'only slot 0'),
	('contiguous_seq', 'DELETE FROM ledger.entry WHERE account_id = 2 AND seq = 1', 'account 2, slot 0, seq 2: expected seq 1'),
	('contiguous_seq', 'UPDATE ledger.entry SET seq = seq + 100 WHERE account_id = 2 AND seq = 2', 'account 2'),
	('balance_after', 'UPDATE ledger.entry SET balance_after = balance_after + 1 WHERE account_id = 2 AND seq = 2', 'account 2, slot 0, seq 2'),
	('posted_at', 'UPDATE ledger.entry SET posted_at = posted_at - interval ''1 day'' WHERE account_id = 2 AND seq = 2', 'account 2, slot 0, seq 2'),
	('causes', 'UPDATE ledger.entry SET amount = amount + 1 WHERE account_id = 2 AND kind = ''deposit''', 'deposit'),
	('causes', 'UPDATE ledger.entry SET kind = ''gift'' WHERE kind = ''deposit''', 'gift'),
	('transfers', 'UPDATE ledger.transfer SET amount = amount + 1 WHERE to_account = 2', 'account'),
	('transfers', 'UPDATE ledger.transfer SET to_account = 3 WHERE to_account = 2', 'account 2'),
	('transfers', 'UPDATE ledger.transfer SET kind = ''correction'' WHERE to_account = 2', 'correction'),
	('transfers', 'DELETE FROM ledger.transfer WHERE to_account = 2', 'deposit 2, account'),
	('journals', 'UPDATE ledger.journal SET amounts = ''{-3,2,1}'' WHERE journal_id = 1', 'journal 1, account 2'),
	('journals', 'UPDATE ledger.journal SET accounts = ''{2,3,2}'' WHERE journal_id = 1', 'journal 1, account 3'),
	('journals', 'UPDATE ledger.journal SET kind = ''adjustment'' WHERE journal_id = 1', 'journal 1, account'),
	('journals', 'UPDATE ledger.journal SET amounts = ''{-2,1,0.5}'' WHERE journal_id = 1', 'journal 1: its legs in USDT sum to -0.5'),
	('journals', 'DELETE FROM ledger.journal', 'expected 0 in 0'),
	('reversals', 'UPDATE ledger.reversal SET original_id = 2, original_kind = ''transfer''', 'reversal 1, account'),
	('reversals', 'DELETE FROM ledger.reversal', 'reversal 1, account 2: 1.00 in 2 entries, expected 0 in 0'),
	('reversals', 'UPDATE ledger.reversal SET original_id = 99', 'reversal 1, account'),
	('reversals', 'DELETE FROM ledger.entry WHERE kind = ''reversal'' AND account_id = 4', 'reversal 1, account 4'),
	('holds', 'UPDATE ledger.open_hold SET remaining = 16', 'hold 1: 16 is left, expected 15'),
	('holds', 'DELETE FROM ledger.open_hold', 'hold 1: 0 is left, expected 15'),
	('holds', 'UPDATE ledger.open_hold SET account_id = 3', 'hold 1: it is of account 2, and not of account 3'),
	('holds', 'UPDATE ledger.open_hold SET expires_at = ''2030-01-01''', 'hold 1: it expires'),
	('holds', 'UPDATE ledger.hold SET amount = 12', 'hold 1: 10 captured and 5 released of 12'),
	('holds', 'UPDATE ledger.transfer SET hold_id = 2 WHERE hold_id IS NOT NULL', 'expected 25'),
	('holds', 'UPDATE ledger.transfer SET from_account = 3 WHERE hold_id IS NOT NULL', 'not of account 3'),
	('holds', 'DELETE FROM ledger.hold_release', 'hold 1: 15 is left, expected 20'),
	('holds', 'UPDATE ledger.hold_release SET amount = NULL', 'hold 1: 15 is left, expected 0'),
	('holds', 'DELETE FROM ledger.hold', 'hold 1: there is no such hold'),
	('idempotency', 'UPDATE ledger.idempotency SET digest = sha256(digest)', 'key "once": transfer'),
	('idempotency', 'UPDATE ledger.idempotency SET id = id + 1', 'it stands for transfer'),
	('idempotency', 'DELETE FROM ledger.idempotency', 'not recorded'),
	('idempotency', 'UPDATE ledger.transfer SET idempotency_key = NULL', 'is missing'),
	('idempotency', 'UPDATE ledger.transfer SET amount = 2 WHERE idempotency_key IS NOT NULL', 'not what the key was given for'),
	('trade_fees', 'UPDATE ledger.trade SET fee = 2 WHERE fee = 1', 'account 1'),
	('trade_fees', 'UPDATE ledger.trade SET fee = 2 WHERE account_id = 2 AND execution_id = 1', 'account 2'),
	('trade_fees', 'UPDATE ledger.entry SET amount = -amount WHERE kind = ''fee_cut''', 'trade'),
	('trade_fees', 'UPDATE ledger.entry SET account_id = risk.system_account(1, ''insurance_fund'', ''USDT''), slot = 77 WHERE kind = ''trade_fee'' AND account_id = risk.system_account(1, ''fee'', ''USDT'')', 'went to the fund, by no policy'),
	('isolated', 'UPDATE ledger.entry SET account_id = 3, seq = 1000 WHERE kind = ''isolated_margin'' AND account_id = 2', 'account 3: trade'),
	('isolated', 'UPDATE ledger.account SET parent_id = NULL, isolated_instrument_id = NULL WHERE account_id = 5', 'of margin'),
	('isolated', 'UPDATE ledger.account SET parent_id = 1 WHERE account_id = 5', 'account 2: trade'),
	('isolated', 'UPDATE ledger.account SET owner_id = NULL WHERE account_id = 2', 'account 5: its parent 2 has another'),
	('isolated', 'UPDATE ledger.account SET isolated_instrument_id = 2 WHERE account_id = 5', 'account 5: it holds 1'),
	('isolated', 'UPDATE ledger.account SET isolated_side = ''short'' WHERE account_id = 5', 'account 5: it holds 1'),
	('settlements', 'UPDATE ledger.settlement SET amount = amount + 1 WHERE kind = ''profit''', 'settlement'),
	('settlements', 'DELETE FROM ledger.settlement WHERE kind = ''profit''', 'expected 0 in 0'),
	('fundings', 'UPDATE ledger.funding_payment SET amount = amount + 1 WHERE trade_id = 0 AND account_id = 2', 'funding 1'),
	('fundings', 'DELETE FROM ledger.funding_payment WHERE trade_id > 0', 'late_funding'),
	('fundings', 'UPDATE ledger.funding SET rate = rate * 2', 'expected'),
	('fundings', 'UPDATE ledger.entry SET cause = cause + 1 WHERE kind = ''funding''', 'funding'),
	('funded_positions', 'UPDATE ledger.funding_payment SET qty = qty + 1 WHERE trade_id = 0 AND account_id = 2', 'account 2'),
	('funded_positions', 'DELETE FROM ledger.funding_payment WHERE account_id = 4', 'account 4'),
	('funded_positions', 'UPDATE ledger.funding SET funding_at = ''2023-12-31''', 'expected 0'),
	('resets', 'UPDATE ledger.reset SET amount = amount + 1 WHERE stage = ''fund''', 'expected -41.00'),
	('resets', 'UPDATE ledger.reset SET shortfall = shortfall + 1', 'account 1'),
	('resets', 'UPDATE ledger.reset SET shortfall_id = shortfall_id + 1', 'it is not as shortfall'),
	('shortfalls', 'UPDATE ledger.shortfall SET amount = amount + 1 WHERE account_id = 1', 'are paid'),
	('shortfalls', 'UPDATE ledger.shortfall SET operational = amount WHERE account_id = 1', 'were not the market'),
	('shortfalls', 'UPDATE ledger.reset SET stage = ''receivable'' WHERE stage = ''house''', 'knows {own,fund,house}'),
	('shortfalls', 'UPDATE ledger.open_shortfall SET remaining = remaining + 1', '8.00 stand open, suspense paid 7.00'),
	('shortfalls', 'UPDATE ledger.open_shortfall SET shortfall_id = shortfall_id + 1', 'there is none'),
	('fund_use', 'UPDATE ledger.fund_use SET amount = amount + 1', 'the rows say 40.00'),
	('fund_use', 'DELETE FROM ledger.fund_use', 'the rows say'),
	('debts', 'UPDATE ledger.debt SET principal = principal + 1', 'shortfall'),
	('debts', 'UPDATE ledger.debt SET repaid = repaid + 1', 'are repaid, the rows say 3.00'),
	('debts', 'UPDATE ledger.debt SET waived = waived + 1', 'are waived, the rows say 2'),
	('debts', 'UPDATE ledger.instalment SET paid = amount', '0 of the instalments are unpaid, of the debt 5.00'),
	('debts', 'DELETE FROM ledger.instalment; DELETE FROM ledger.repayment; DELETE FROM ledger.waiver; DELETE FROM ledger.debt', 'wants one'),
	('debts', 'UPDATE ledger.repayment SET payee_account = -1', 'rows say'),
	('debts', 'UPDATE ledger.repayment SET amount = amount + 1', 'rows say'),
	('freezes', 'UPDATE ledger.freeze SET lifted_at = now(), lifted_by = ''nobody''', 'no freeze is open'),
	('freezes', 'UPDATE ledger.account SET status = ''active'' WHERE account_id = 10', 'is open'),
	('busts', 'UPDATE ledger.trade SET price = price + 1 WHERE kind = ''bust'' AND account_id = 4', 'at 170, mirrored 0'),
	('busts', 'UPDATE ledger.trade SET kind = ''bust'' WHERE kind = ''trade'' AND execution_id = 1', 'execution 1'),
	('busts', 'DELETE FROM ledger.bust', 'mirrored'),
	('takeovers', 'DELETE FROM ledger.takeover', 'expected 0'),
	('takeovers', 'UPDATE ledger.takeover SET qty = qty * 2', 'instrument 2'),
	('takeovers', 'UPDATE ledger.takeover SET price = price + 1', 'at 151'),
	('resets', 'UPDATE ledger.reset SET balance_after = balance_after + 1, balance_before = balance_before + 1 WHERE stage = ''house''', 'account 1'),
	('resets', 'UPDATE ledger.reset SET payer_after = payer_after + 1 WHERE stage = ''fund''', 'payer'),
	('resets', 'UPDATE ledger.reset SET payer_account = -2 WHERE stage = ''fund''', 'reset'),
	('resets', 'DELETE FROM ledger.reset WHERE stage = ''house''', 'reset'),
	('exchanges', 'UPDATE ledger.exchange SET amount = amount + 1 WHERE from_account = 7', 'expected -8.00'),
	('exchanges', 'UPDATE ledger.exchange SET haircut = 0.5 WHERE from_account = 7', '7.00 USDT for'),
	('exchanges', 'UPDATE ledger.exchange SET haircut = 0 WHERE from_account = 7', '7.00 USDT for'),
	('exchanges', 'UPDATE ledger.exchange SET from_amount = 2, index_price = 2 WHERE from_account = 8', 'account 6: 3.00 USDT for'),
	('exchanges', 'UPDATE ledger.exchange SET from_account = 2', 'account 2'),
	('exchanges', 'UPDATE ledger.entry SET amount = amount - 1 WHERE kind = ''exchange'' AND account_id = 7', 'account 7'),
	('exchanges', 'UPDATE ledger.account SET parent_id = 6, isolated_instrument_id = 1 WHERE account_id = 8', 'account 6: 3.00 USDT for'),
	('exchanges', 'DELETE FROM ledger.exchange', 'exchange'),
	('margin_groups', 'UPDATE ledger.account SET in_group = false WHERE account_id = 7', 'account 7'),
	('margin_groups', 'UPDATE ledger.account SET in_group = true WHERE account_id = 5', 'account 5'),
	('margin_groups', 'UPDATE ledger.policy SET collateral_group = true WHERE policy_code = ''default''', 'account 1: in_group is f'),
	('quantity', 'UPDATE ledger.position SET qty = qty + 1 WHERE account_id = 3 AND instrument_id = 2', 'account 3, instrument 2'),
	('quantity', 'UPDATE ledger.position SET trades = trades + 1 WHERE account_id = 3 AND instrument_id = 2', 'account 3, instrument 2'),
	('quantity', 'DELETE FROM ledger.position WHERE account_id = 3 AND instrument_id = 2', 'account 3, instrument 2'),
	('quantity', 'UPDATE ledger.trade SET side = ''sell'' WHERE account_id = 3 AND execution_id = 4', 'account 3, instrument 2'),
	('cost', 'UPDATE ledger.position SET cost = cost + 1 WHERE account_id = 3 AND instrument_id = 2', 'account 3, instrument 2'),
	('cost', 'UPDATE ledger.trade SET price = price + 1 WHERE account_id = 3 AND execution_id = 4', 'account 3, instrument 2'),
	('cost', 'DELETE FROM ledger.settlement WHERE kind = ''residue'' AND account_id = 1', 'account 1, instrument 1'),
	('executions', 'DELETE FROM ledger.trade WHERE account_id = 3 AND execution_id = 4', 'execution 4, instrument 2'),
	('executions', 'UPDATE ledger.trade SET price = price + 1 WHERE account_id = 3 AND execution_id = 4', 'execution 4, instrument 2'),
	('open_interest', 'UPDATE ledger.position SET qty = qty + 1 WHERE account_id = 3 AND instrument_id = 2', 'instrument 2'),
	('clearing', 'UPDATE ledger.position SET cost = cost + 1 WHERE account_id = 3 AND instrument_id = 2', 'asset USDT'),
	('clearing', 'UPDATE ledger.settlement SET amount = amount + 1 WHERE kind = ''residue''', 'asset USDT'),
	('clearing_by_instrument', 'UPDATE ledger.position SET cost = cost + CASE instrument_id WHEN 1 THEN 1 ELSE -1 END WHERE account_id = 3', 'instrument 1'),
	('equity', 'UPDATE ledger.balance SET amount = amount + 1 WHERE account_id = 2', 'asset USDT'),
	('equity', 'UPDATE ledger.position SET cost = cost + 1 WHERE account_id = 3 AND instrument_id = 2', 'asset USDT'),
	('floors', 'UPDATE ledger.balance SET amount = -1 WHERE account_id = 2', 'account 2'),
	('floors', 'UPDATE ledger.balance SET floor = 100000 WHERE account_id = 2', 'account 2'),
	('floor_changes', 'UPDATE ledger.balance SET floor = -1 WHERE account_id = 2', 'account 2: floor -1; the last change says 0'),
	('floor_changes', 'UPDATE ledger.balance SET floor = 0 WHERE account_id = 4', 'account 4: floor 0; the last change says -1'),
	('floor_changes', 'UPDATE ledger.balance SET floor = 0 WHERE slot = 0 AND account_id = risk.system_account(1, ''house'', ''USDT'')', 'the last change says none'),
	('below_floor', 'INSERT INTO ledger.below_floor (book_id, account_id) VALUES (1, 2)', 'account 2'),
	('unmatched_execution', 'INSERT INTO ledger.unmatched_execution (book_id, instrument_id, execution_id, transaction_id, executed_at, trades, qty, value) VALUES (1, 1, 7, ''1'', ''2024-01-01'', 1, 1, 1)', 'execution 7'),
	('late_fill', 'INSERT INTO ledger.late_fill VALUES (1, 7, 2, 1, 1, 1)', 'trade 7: left over'),
	('added_risk', 'INSERT INTO ledger.added_risk (book_id, account_id, instrument_id, qty_before) VALUES (1, 2, 1, 0)', 'account 2'),
	('order_reserves', 'UPDATE ledger.order_reserve SET amount = -1', 'order 5'),
	('order_reserves', 'UPDATE ledger.order_reserve SET amount = 0.001', 'order 5'),
	('order_reserves', 'UPDATE ledger.order_reserve SET account_id = 77', 'account 77'),
	('order_reserves', 'UPDATE ledger.order_reserve SET account_id = risk.system_account(1, ''house'', ''USDT'')', 'a house account'),
	('order_reserves', 'UPDATE ledger.order_reserve SET instrument_id = 77', 'instrument 77'),
	('transfer_rules', 'UPDATE ledger.transfer_rule SET allowed = false WHERE kind = ''deposit'' AND to_kind = ''trader''', 'a deposit from external to trader was never allowed'),
	('transfer_rules', 'UPDATE ledger.transfer SET to_account = 3 WHERE kind = ''deposit'' AND to_account = 2; UPDATE ledger.transfer SET from_account = 2 WHERE kind = ''deposit'' AND to_account = 3', 'from trader to trader'),
	('folds', 'UPDATE ledger.entry SET amount = amount + 1 WHERE kind = ''fold'' AND slot = 0 AND account_id = risk.system_account(1, ''external'', ''USDT'')', 'in 2 entries, 1 of them in slot 0'),
	('folds', 'UPDATE ledger.entry SET posted_at = ''2100-01-01'' WHERE kind = ''fold'' AND slot > 0 AND account_id = risk.system_account(1, ''external'', ''USDT'')', '2100-01-01'),
	('folds', 'DELETE FROM ledger.entry WHERE kind = ''fold'' AND slot = 0 AND account_id = risk.system_account(1, ''external'', ''USDT'')', '1 entries, 0 of them in slot 0'),
	('folds', 'UPDATE ledger.entry SET kind = ''fold'' WHERE account_id = 3 AND seq = 1', 'account 3, fold'),
	('liquidations', 'DELETE FROM ledger.takeover WHERE book_id = 2 AND account_id = 24', 'step 1: 1 at 150'),
	('liquidations', 'DELETE FROM ledger.liquidation_step', 'it has 1 steps, 0 rows'),
	('liquidations', 'UPDATE ledger.liquidation SET fee_to_fund = fee_to_fund + 1', 'is 10.00, expected 11'),
	('liquidations', 'UPDATE ledger.liquidation SET surplus = 3', '13.00 was charged, its entries say 10.00'),
	('trigger_prices', 'UPDATE ledger.balance SET reserve = -1 WHERE account_id = 2', 'account 2: reserve -1'),
	('trigger_prices', 'UPDATE ledger.balance SET reserve = NULL WHERE account_id = 2', 'without a reserve'),
	('trigger_prices', 'UPDATE ledger.position SET trigger_price = 5 WHERE qty = 0', 'trigger 5 at a quantity of 0'),
	('trigger_prices', 'UPDATE ledger.position SET alert_price = -1 WHERE qty <> 0', 'at a quantity of'),
	('alerts', 'DELETE FROM ledger.event WHERE kind = ''alert''', 'account 25: level 150'),
	('alerts', 'UPDATE ledger.alert_state SET fired_level = 120', 'account 25: level 120'),
	('alerts', 'UPDATE ledger.balance SET reserve = 1 WHERE account_id = 25', 'account 25: level 150'),
	('alerts', 'DELETE FROM ledger.alert_state', 'without an alert'),
	('alerts', 'INSERT INTO ledger.alert_state (book_id, account_id, fired_level) VALUES (2, 22, 150)', 'account 22: level 150'),
	('margin_settings', 'UPDATE ledger.margin_setting SET leverage = 2', 'account 2'),
	('margin_settings', 'DELETE FROM ledger.margin_setting', 'account 2'),
	('margin_settings', 'INSERT INTO ledger.margin_setting (account_id, instrument_id, leverage) VALUES (3, 1, 5)', 'account 3'),
	('seals', 'UPDATE ledger.seal SET who = ''nobody''', 'seal 1: head'),
	('seals', 'UPDATE ledger.seal SET total_entries = total_entries + 1', 'seal 1'),
	('seals', 'DELETE FROM ledger.seal', 'seal 1: missing'),
	('seals', 'DELETE FROM ledger.seal_range WHERE account_id = 2', 'seal 1'),
	('seals', 'UPDATE ledger.seal_range SET digest = marks WHERE account_id = 2', 'seal 1: head'),
	('sealed_entries', 'UPDATE ledger.entry SET effective_at = effective_at - interval ''1 day'' WHERE account_id = 2 AND seq = 2', 'account 2, slot 0, seq 2 of seal 1: not as'),
	('sealed_entries', 'UPDATE ledger.entry SET period = period - 1 WHERE account_id = 2 AND seq = 2', 'account 2, slot 0, seq 2 of seal 1: not as'),
	('sealed_entries', 'DELETE FROM ledger.entry WHERE account_id = 2 AND seq = 2', 'account 2, slot 0, seq 2 of seal 1: missing'),
	('gainer_holds', 'INSERT INTO ledger.gainer_hold VALUES (1, 1000000, 1, 1, -1, 1, 5, 5, 5)', 'book 1, hold 1000000: account 1 has no such hold'),
	('fund_history', 'UPDATE ledger.entry SET kind = ''fold'' WHERE kind = ''reset'' AND book_id = 1', 'book 1, fund'),
	('relayed_events', 'DELETE FROM ledger.relayed_event WHERE book_id = 1 AND place = 1', 'book 1, place 2: the one before it is missing'),
	('relayed_events', 'DELETE FROM ledger.event WHERE event_id = (SELECT d.event_id FROM ledger.relayed_event d WHERE d.book_id = 1 AND d.place = 1)', 'book 1, place 1: event'),
	('relayed_events', 'INSERT INTO ledger.event_cursor (book_id, consumer, place) VALUES (1, ''desk'', 1000)', 'book 1, consumer "desk": place 1000 is beyond the last'),
	('checkpoints', 'INSERT INTO ledger.checkpoint VALUES (1, 1, ''2000-01-01'', ''2000-01-03'', NULL, NULL, 0, NULL, 0, NULL, ''{}'', '''', ''nobody'')', 'book 1, checkpoint 1: its event is missing'),
	('checkpoints', 'INSERT INTO ledger.checkpoint_balance VALUES (1, 0, 2, 1, 1, ''2000-01-01'', 5, NULL, NULL)', 'book 1, checkpoint 1: missing, rows of it are there'),
	('margin_scales', 'INSERT INTO ledger.margin_scale (instrument_id, effective_at, scale, volatility, reference_volatility, min_scale, max_scale, step) VALUES (1, ''2030-01-01'', 1.2, 0.0011, 0.001, 1, 3, 0.1)', 'instrument 1'),
	('suspense', 'DELETE FROM ledger.shortfall_payment WHERE stage = ''fund''', 'expected -5.00'),
	('suspense', 'UPDATE ledger.open_shortfall SET remaining = remaining - 1', 'stand open'),
	('suspense', 'UPDATE ledger.entry SET amount = amount + 1 WHERE kind = ''loss_share'' AND account_id < 0', 'entries of suspense'),
	('shortfall_payments', 'UPDATE ledger.shortfall_payment SET amount = amount + 1 WHERE stage = ''fund''', 'expected 6.00'),
	('shortfall_payments', 'UPDATE ledger.shortfall_payment SET account_id = 23 WHERE stage = ''socialise''', 'account 2'),
	('shortfall_payments', 'DELETE FROM ledger.shortfall_payment WHERE stage = ''adl''', 'adl_gain'),
	('shortfall_payments', 'UPDATE ledger.shortfall_payment SET stage = ''receivable'' WHERE stage = ''fund''', 'no stage receivable'),
	('shortfall_payments', 'UPDATE ledger.account SET owner_id = ''alice'' WHERE account_id = 22', 'who was bankrupt'),
	('takeover_results', 'UPDATE ledger.entry SET kind = ''takeover_result'' WHERE kind = ''adl_gain'' AND account_id IN (SELECT a.account_id FROM ledger.account a WHERE a.kind = ''liquidity'')', 'went to the fund'),
	('deleveragings', 'UPDATE ledger.deleveraging SET qty = qty + 1', 'expected'),
	('deleveragings', 'UPDATE ledger.deleveraging SET qty = qty + 9', 'of takeover'),
	('deleveragings', 'DELETE FROM ledger.deleveraging', 'traded'),
	('deleveragings', 'UPDATE ledger.deleveraging SET gain = gain + 1', 'a gain of'),
	('deleveragings', 'UPDATE ledger.takeover SET bankruptcy_price = bankruptcy_price + 1 WHERE book_id = 2', 'the bankruptcy price'),
	('margin_scales', 'INSERT INTO ledger.margin_scale (instrument_id, effective_at, observed_at, scale) VALUES (1, ''2030-01-01'', ''2030-01-01'', 1)', 'instrument 1');
SELECT ok(position(s.names IN f) > 0, format('%s: %s', s.check_name, s.statement) || CASE WHEN position(s.names IN f) = 0 THEN ' -> ' || f ELSE '' END)
  FROM spoilt s, LATERAL pg_temp.found(s.check_name, s.statement) f ORDER BY s.n;
SELECT set_eq('SELECT check_name FROM spoilt UNION SELECT ''guards''', 'SELECT check_name FROM risk.verify()', 'every check was tried');

-- the guards, one at a time
CREATE FUNCTION pg_temp.guard(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE statement;
	SELECT format('%s %s', v.violations, v.first_offender) INTO answer FROM risk.verify() v WHERE v.check_name = 'guards' AND v.violations > 0;
	RAISE SQLSTATE 'Z0001' USING MESSAGE = coalesce(answer, 'nothing');
EXCEPTION WHEN SQLSTATE 'Z0001' THEN
	RETURN SQLERRM;
END
$$;
SELECT is(pg_temp.guard(format('DROP TRIGGER %I ON ledger.%I', e.trigger_name, e.table_name)),
		  format('1 table ledger.%s, trigger %s: missing', e.table_name, e.trigger_name), format('%s of %s dropped', e.trigger_name, e.table_name))
  FROM risk.ledger_triggers() e ORDER BY e.table_name, e.trigger_name;
SELECT is(pg_temp.guard(format('ALTER TABLE ledger.%I DISABLE TRIGGER %I', e.table_name, e.trigger_name)),
		  format('1 table ledger.%s, trigger %s: in mode D, expected %s', e.table_name, e.trigger_name, e.enabled), format('%s of %s disabled', e.trigger_name, e.table_name))
  FROM risk.ledger_triggers() e ORDER BY e.table_name, e.trigger_name;
SELECT matches(pg_temp.guard($$
	DROP TRIGGER floor ON ledger.balance;
	CREATE CONSTRAINT TRIGGER floor AFTER INSERT OR UPDATE ON ledger.balance DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.amount < NEW.floor - 1000000) EXECUTE FUNCTION risk.enforce_floor()
$$), '^1 table ledger.balance, trigger floor: is ', 'a trigger of the right name with another condition');
SELECT matches(pg_temp.guard('ALTER TABLE ledger.account DISABLE TRIGGER ALL'), '^[1-9]', 'a foreign key that is not enforced');

-- and all is as before
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'the books are right');
SELECT is_empty('SELECT * FROM risk.verify(1) WHERE violations > 0', 'book 1 is right');
SELECT results_eq('SELECT check_name FROM risk.verify(1)', 'SELECT check_name FROM risk.verify()', 'the checks of one book are those of all');

SELECT * FROM finish();
ROLLBACK;
