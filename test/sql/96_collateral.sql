-- Collateral in several assets: what the accounts of one owner are worth to
-- each other, and what they pay before anybody else does.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8), ('ETH', 8) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
SELECT 9600 + n, format('instrument %s of 96', n), 'USDT' FROM generate_series(1, 4) AS n;
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) VALUES (9604, 0.05, 10);
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 96001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 96001;
CREATE TEMP SEQUENCE execution START 96001;
INSERT INTO ledger.policy (policy_code, stages, collateral_group)
VALUES ('group_96', '{own,fund,house}', true), ('strict_group_96', '{own,reject}', true);
INSERT INTO ledger.index_price (asset_code, price) VALUES ('USDT', 1), ('BTC', 50000), ('ETH', 2000);
INSERT INTO ledger.collateral VALUES ('USDT', 0.02, NULL), ('BTC', 0.1, 0.5), ('ETH', 0.05, NULL);
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (9601, 20000), (9602, 100), (9604, 1000);

CREATE PROCEDURE pg_temp.fill(book int, buyer bigint, seller bigint, instrument int, qty numeric, price numeric) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	SELECT book, s.account, instrument, s.side, qty, price, e.id
	  FROM (SELECT nextval('execution') AS id) e, (VALUES (buyer, 'buy'), (seller, 'sell')) AS s(account, side)
$$;
CREATE PROCEDURE pg_temp.lose(book int, account bigint, amount numeric) LANGUAGE sql AS $$
	CALL pg_temp.fill(book, account, 99, 9603, 1, 100000);
	CALL pg_temp.fill(book, 99, account, 9603, 1, 100000 - amount)
$$;
CREATE PROCEDURE pg_temp.deposit(book int, account bigint, amount numeric) LANGUAGE sql AS $$
	SELECT risk.deposit(account, amount, book)
$$;
CREATE TEMP VIEW exchanges AS
SELECT x.book_id, x.account_id, x.from_account AS from, x.from_amount, x.from_asset, x.amount, x.asset_code AS asset,
	   x.haircut, x.cause_kind FROM ledger.exchange x ORDER BY x.exchange_id;
CREATE TEMP VIEW resets AS
SELECT r.book_id, r.account_id, r.stage, r.shortfall, r.amount, r.balance_before, r.balance_after, r.cause_kind
  FROM ledger.reset r ORDER BY r.reset_id;
CREATE TEMP VIEW balances AS
SELECT a.book_id, a.account_id, a.owner_id, a.asset_code, b.amount
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id) WHERE a.account_id BETWEEN 1 AND 98 ORDER BY a.account_id;

-- 1. Formulas

-- 2 * 50 * 0.9; what is missing, in full; an asset without a price, or that is no collateral
SELECT risk.collateral_value(2, 50, 0.1), risk.collateral_value(-2, 50, 0.1), risk.collateral_value(2, 0, 0.1),
	   risk.collateral_value(2, 50, 1), risk.collateral_value(-2, 50, 1);
-- 100 / 30 down; -100 / 27 down, which is more; nothing of it counts
SELECT risk.collateral_share(100, 30, 0.1, 2), risk.collateral_share(-100, 30, 0.1, 2),
	   risk.collateral_share(100, 0, 0.1, 2), risk.collateral_share(-100, 30, 1, 2), risk.collateral_share(100, 30, 1, 2);
-- what is held for a value covers it, with not a unit too much; what a value lends is not above it
SELECT count(*) AS cases,
	   bool_and(risk.collateral_value(-h.share, p.price, p.haircut) >= v.value
				AND risk.collateral_value(-h.share - h.unit, p.price, p.haircut) < v.value) AS held,
	   bool_and(l.share * p.price <= v.value AND (l.share + h.unit) * p.price > v.value) AS lent
  FROM generate_series(1, 200) AS n,
	   LATERAL (SELECT n * 7.013 AS value) v, LATERAL (SELECT 0.03 * n + 1 AS price, 0.004 * (n % 100) AS haircut) p,
	   LATERAL (SELECT n % 9 AS scale) s,
	   LATERAL (SELECT risk.collateral_share(-v.value, p.price, p.haircut, s.scale) AS share, ('1e-' || s.scale)::numeric AS unit) h,
	   LATERAL (SELECT risk.collateral_share(v.value, p.price, p.haircut, s.scale) AS share) l;
SELECT risk.collateral_value(1, -1, 0);
SELECT risk.collateral_value(1, 1, 1.1);
SELECT risk.collateral_value('NaN', 1, 0);
SELECT risk.collateral_share(1, 1, 0, 39);
SELECT risk.collateral_value(1, NULL, 0) IS NULL AS unknown;

-- 2. Value: haircut and cap

SELECT risk.create_book(961, 'collateral');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (961, 1, 'USDT', 'alice', 'group_96'), (961, 2, 'BTC', 'alice', 'group_96'), (961, 3, 'ETH', 'alice', 'group_96'),
	   (961, 4, 'BTC', 'alice', 'electra'), (961, 5, 'BTC', 'bob', 'group_96'), (961, 6, 'USDT', 'alice', 'group_96'),
	   (961, 99, 'USDT', 'maker', 'electra');
CALL pg_temp.deposit(961, 1, 1000);
CALL pg_temp.deposit(961, 2, 1);
CALL pg_temp.deposit(961, 3, 2);
CALL pg_temp.deposit(961, 4, 3);
CALL pg_temp.deposit(961, 5, 4);
CALL pg_temp.deposit(961, 99, 1000000);
-- 0.5 * 50,000 * 0.9 = 22,500 and 2 * 2,000 * 0.95 = 3,800; 1,000 * 0.98 = 980
SELECT owner_id, asset_code, accounts, net, trim_scale(value) AS value, trim_scale(equity_value) AS equity_value, requirement_value
  FROM ledger.margin_group WHERE book_id = 961 ORDER BY 1, 2;
-- 26,300 for account 1, and the 1,000 of account 1 for 6, at par; (3,800 + 980) / 50,000 for 2;
-- (22,500 + 980) / 2,000 for 3; nothing outside a group or alone in one
SELECT account_id, equity, collateral, free_collateral, withdrawable, trim_scale(group_equity) AS group_equity, group_level
  FROM ledger.account_risk WHERE book_id = 961 AND account_id BETWEEN 1 AND 6 ORDER BY account_id;

-- 3. What serves as collateral stays

-- 1 at 20,000 and leverage 1: of the initial margin 19,000 are lacking.  The
-- ether gives 3,800; 15,200 / 45,000 = 0.33777778 bitcoin, rounded up
CALL pg_temp.fill(961, 1, 99, 9601, 1, 20000);
SELECT account_id, equity, collateral, free_collateral, withdrawable, trim_scale(group_equity) AS group_equity, group_level
  FROM ledger.account_risk WHERE book_id = 961 AND account_id BETWEEN 1 AND 6 ORDER BY account_id;
SELECT risk.withdraw(2, 0.66222223, 961);
CALL pg_temp.deposit(961, 2, 0.00000001);
SELECT risk.withdraw(2, 0.66222223, 961) > 0 AS withdrawn;
-- 19,000 - 0.33777778 * 45,000 = 3,799.9999; / 1,900 = 1.99999995
SELECT account_id, collateral, withdrawable FROM ledger.account_risk WHERE book_id = 961 AND account_id IN (2, 3) ORDER BY account_id;
SELECT risk.withdraw(3, 0.00000006, 961);
-- what is not in the group, or another owner's, is free
SELECT risk.withdraw(4, 3, 961) > 0 AS withdrawn;
SELECT risk.withdraw(5, 4, 961) > 0 AS withdrawn;
-- The ether gives 3,515 now, and the bitcoin 15,200.0001: 285 of the dollars are needed,
-- at par.  They may go where they are lacking
CALL pg_temp.deposit(961, 6, 500);
BEGIN;
UPDATE ledger.index_price SET price = 1850 WHERE asset_code = 'ETH';
SELECT collateral, withdrawable FROM ledger.account_risk WHERE book_id = 961 AND account_id = 6;
SAVEPOINT try;
SELECT risk.withdraw(6, 500, 961);
ROLLBACK TO try;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (961, 6, 1, 500);
SELECT account_id, collateral, free_collateral FROM ledger.account_risk WHERE book_id = 961 AND account_id = 1;
ROLLBACK;
-- an account that cannot be valued holds up its group
BEGIN;
DELETE FROM ledger.mark_price WHERE instrument_id = 9601;
SELECT account_id, withdrawable FROM ledger.account_risk WHERE book_id = 961 AND account_id IN (2, 5) ORDER BY account_id;
SELECT risk.withdraw(2, 0.00000001, 961);
ROLLBACK;
-- without an index price or a row in collateral a balance does not count
BEGIN;
DELETE FROM ledger.index_price WHERE asset_code = 'BTC';
SELECT collateral FROM ledger.account_risk WHERE book_id = 961 AND account_id = 1;
DELETE FROM ledger.collateral WHERE asset_code = 'ETH';
SELECT collateral FROM ledger.account_risk WHERE book_id = 961 AND account_id = 1;
DELETE FROM ledger.index_price WHERE asset_code = 'USDT';
SELECT collateral FROM ledger.account_risk WHERE book_id = 961 AND account_id = 1;
ROLLBACK;

-- 4. A shortfall: smallest haircut first, then the fund, then the house

SELECT risk.create_book(962, 'shortfall');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (962, 1, 'USDT', 'alice', 'group_96'), (962, 2, 'BTC', 'alice', 'group_96'), (962, 3, 'ETH', 'alice', 'group_96'),
	   (962, 4, 'BTC', 'alice', 'electra'), (962, 5, 'BTC', 'bob', 'group_96'),
	   (962, 6, 'BTC', 'carol', 'group_96'), (962, 7, 'USDT', 'carol', 'group_96'),
	   (962, 8, 'USDT', 'dave', 'strict_group_96'), (962, 10, 'USDT', 'dave', 'group_96'),
	   (962, 99, 'USDT', 'maker', 'electra');
CALL pg_temp.deposit(962, 1, 100);
CALL pg_temp.deposit(962, 2, 0.1);
CALL pg_temp.deposit(962, 3, 1);
CALL pg_temp.deposit(962, 4, 7);
CALL pg_temp.deposit(962, 5, 8);
CALL pg_temp.deposit(962, 7, 1000);
CALL pg_temp.deposit(962, 10, 300);
CALL pg_temp.deposit(962, 99, 1000000);
CALL pg_temp.deposit(962, risk.system_account(962, 'liquidity', 'USDT'), 10000);
CALL pg_temp.deposit(962, risk.system_account(962, 'liquidity', 'BTC'), 1);
CALL pg_temp.deposit(962, risk.system_account(962, 'insurance_fund', 'USDT'), 1000);
CREATE TEMP TABLE worth AS
SELECT a.kind, sum(b.amount * x.price) AS worth FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
  JOIN ledger.index_price x USING (asset_code) WHERE a.book_id = 962 GROUP BY a.kind;

-- 500 are missing: 500 / 1,900 = 0.26315790 ether, rounded up
CALL pg_temp.lose(962, 1, 600);
SELECT * FROM exchanges WHERE book_id = 962;
-- 1,500: all the ether but dust gives 1,399.99, the bitcoin 100.01
CALL pg_temp.lose(962, 1, 1500);
SELECT * FROM exchanges WHERE book_id = 962 OFFSET 1;
-- 10,000: the bitcoin gives 4,399.98, the fund its 1,000, the house 4,600.02
CALL pg_temp.lose(962, 1, 10000);
SELECT * FROM exchanges WHERE book_id = 962 OFFSET 3;
SELECT * FROM resets WHERE book_id = 962;
-- alice's account outside the group and bob's are as they were
SELECT * FROM balances WHERE book_id = 962 AND account_id <= 5;
-- the other way round, and for a chargeback: 0.00333333 * 50,000 / 0.98 = 170.07 up,
-- which is worth 0.00333337 down
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (962, 6, risk.system_account(962, 'external', 'BTC'), 0.00333333, 'chargeback');
SELECT * FROM exchanges WHERE book_id = 962 OFFSET 4;
-- accounts of one asset: at par, under a policy that refuses what others would have to pay
CALL pg_temp.lose(962, 8, 200);
SELECT * FROM exchanges WHERE book_id = 962 OFFSET 5;
CALL pg_temp.fill(962, 8, 99, 9603, 1, 100000);
CALL pg_temp.fill(962, 99, 8, 9603, 1, 99899.99);
SELECT * FROM balances WHERE book_id = 962 AND account_id > 5;
-- for each exchange four entries, two in either asset; within an asset, two
SELECT a.kind, a.asset_code, e.amount FROM ledger.entry e JOIN ledger.account a USING (book_id, account_id)
 WHERE e.book_id = 962 AND e.kind = 'exchange' AND e.cause IN (SELECT unnest(ARRAY[min(exchange_id), max(exchange_id)]) FROM ledger.exchange WHERE book_id = 962)
 ORDER BY e.cause, a.asset_code, e.amount;
SELECT account_id, payload - 'exchange_id' - 'cause' AS payload FROM ledger.event WHERE book_id = 962 AND kind = 'exchange' ORDER BY event_id LIMIT 1;
-- the liquidity account gained what the haircuts and the rounding took
SELECT trim_scale(n.worth - o.worth) AS gained,
	   (SELECT trim_scale(sum(x.from_amount * x.from_index_price - x.amount * x.index_price)) FROM ledger.exchange x WHERE x.book_id = 962) AS taken
  FROM (SELECT sum(b.amount * x.price) AS worth FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
		  JOIN ledger.index_price x USING (asset_code) WHERE a.book_id = 962 AND a.kind = 'liquidity') n, worth o WHERE o.kind = 'liquidity';
SELECT trim_scale(sum(b.amount * x.price)) AS total FROM ledger.balance b JOIN ledger.account a USING (book_id, account_id)
  JOIN ledger.index_price x USING (asset_code) WHERE a.book_id = 962;

-- 5. Positions stay while the group covers the account; the liquidity account has payers of its own

SELECT risk.create_book(963, 'positions');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (963, 1, 'USDT', 'alice', 'group_96'), (963, 2, 'BTC', 'alice', 'group_96'), (963, 3, 'USDT', 'alice', 'group_96'),
	   (963, 99, 'USDT', 'maker', 'electra');
CALL pg_temp.deposit(963, 1, 1000);
CALL pg_temp.deposit(963, 2, 0.01);
CALL pg_temp.deposit(963, 99, 1000000);
CALL pg_temp.deposit(963, risk.system_account(963, 'insurance_fund', 'USDT'), 1000);
CALL pg_temp.fill(963, 1, 99, 9602, 1, 100);
-- 300 are missing, and the liquidity account has none: the fund pays them, for bitcoin
CALL pg_temp.lose(963, 1, 1300);
SELECT * FROM exchanges WHERE book_id = 963;
SELECT a.kind, r.stage, r.amount, r.cause_kind FROM resets r JOIN ledger.account a USING (book_id, account_id) WHERE book_id = 963;
SELECT qty FROM ledger.position WHERE book_id = 963 AND account_id = 1 AND instrument_id = 9602;
-- 60 are missing: 50 of its own profit first, then 10
UPDATE ledger.mark_price SET price = 150 WHERE instrument_id = 9602;
CALL pg_temp.lose(963, 1, 60);
SELECT kind, amount FROM ledger.settlement WHERE book_id = 963;
SELECT * FROM exchanges WHERE book_id = 963 OFFSET 1;
-- a loss of the other account that is not realised is not given away: of 100, 30 are left
CALL pg_temp.deposit(963, 3, 100);
CALL pg_temp.fill(963, 3, 99, 9602, 1, 220);
CALL pg_temp.lose(963, 1, 20);
SELECT * FROM exchanges WHERE book_id = 963 OFFSET 2;
-- 500 are more than 10 and about 140: the position is taken over, the group gives what it has, the fund the rest
CALL pg_temp.lose(963, 1, 500);
SELECT * FROM exchanges WHERE book_id = 963 OFFSET 3;
SELECT kind, side, qty, price FROM ledger.trade WHERE book_id = 963 AND account_id = 1 AND kind = 'takeover';
SELECT a.kind, r.stage, r.shortfall, r.amount, r.cause_kind FROM resets r JOIN ledger.account a USING (book_id, account_id) WHERE book_id = 963 OFFSET 1;
SELECT * FROM balances WHERE book_id = 963;

-- 6. What else binds a member: leverage, orders, isolated positions, fundings

SELECT risk.create_book(964, 'members');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (964, 1, 'USDT', 'alice', 'group_96'), (964, 3, 'USDT', 'alice', 'group_96'),
	   (964, 5, 'USDT', 'bob', 'group_96'), (964, 6, 'BTC', 'bob', 'group_96'), (964, 99, 'USDT', 'maker', 'electra');
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9602;
CALL pg_temp.deposit(964, 1, 1000);
CALL pg_temp.deposit(964, 3, 400);
CALL pg_temp.deposit(964, 5, 50);
CALL pg_temp.deposit(964, 6, 0.01);
CALL pg_temp.deposit(964, 99, 1000000);
CALL pg_temp.deposit(964, risk.system_account(964, 'insurance_fund', 'USDT'), 1000);
CALL pg_temp.deposit(964, risk.system_account(964, 'liquidity', 'USDT'), 1000);
-- 1,000 at leverage 10, and 450 of collateral: 100, 200 and 500 can be kept, 1,000 cannot
CALL pg_temp.fill(964, 5, 99, 9604, 1, 1000);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (964, 5, 9604, 5);
-- 200 - 50 = 150 / 45,000 = 0.00333334
SELECT account_id, collateral, free_collateral, withdrawable FROM ledger.account_risk WHERE book_id = 964 AND owner_id = 'bob' ORDER BY 1;
-- an order of 100 holds 0.00555556 together with that
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (964, 5, 9604, 1, 100);
SELECT account_id, collateral, free_collateral, withdrawable FROM ledger.account_risk WHERE book_id = 964 AND owner_id = 'bob' ORDER BY 1;
SELECT risk.withdraw(6, 0.00444445, 964);
DELETE FROM ledger.order_reserve WHERE book_id = 964;
UPDATE ledger.margin_setting SET leverage = 1 WHERE book_id = 964;
UPDATE ledger.margin_setting SET leverage = 2 WHERE book_id = 964;
-- 50 of equity are the maintenance margin: the account is at 100 %, its group at 1,000 %
SELECT account_id, collateral, free_collateral, withdrawable, margin_level, trim_scale(group_equity) AS group_equity,
	   group_requirement, group_level
  FROM ledger.account_risk WHERE book_id = 964 AND owner_id = 'bob' ORDER BY 1;
-- a funding of 60: 10 are missing, 10 / 45,000 = 0.00022223
SELECT payers, receivers, paid, received FROM risk.pay_funding(9604, 0.06, clock_timestamp(), 964);
SELECT * FROM exchanges WHERE book_id = 964;

-- alice lacks 600 on account 3, which account 1 keeps for it; 400 can go to an isolated position
CALL pg_temp.fill(964, 3, 99, 9602, 10, 100);
SELECT risk.open_isolated(1, 9602, 400.01, book_id => 964, child_id => 11);
SELECT risk.open_isolated(1, 9602, 400, book_id => 964, child_id => 11);
SELECT account_id, collateral, withdrawable, group_equity IS NOT NULL AS in_group FROM ledger.account_risk
 WHERE book_id = 964 AND owner_id = 'alice' ORDER BY 1;
-- a fill that asks for 500 brings nothing more, and a loss of 450 is neither the parent's nor the group's
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage, mode) VALUES (964, 1, 9602, 1, 'isolated');
CALL pg_temp.fill(964, 11, 99, 9602, 5, 100);
SELECT amount FROM ledger.entry WHERE book_id = 964 AND kind = 'isolated_margin' AND account_id = 11;
CALL pg_temp.fill(964, 99, 11, 9602, 5, 10);
SELECT account_id, stage, shortfall, amount FROM resets WHERE book_id = 964;
-- nor does it give: account 3 loses 1,200, of which it has 400 and account 1 600
CALL pg_temp.deposit(964, 1, 7);
SELECT risk.add_margin(11, 7, 964) > 0 AS moved;
CALL pg_temp.lose(964, 3, 1200);
SELECT * FROM exchanges WHERE book_id = 964 OFFSET 1;
SELECT account_id, stage, shortfall, amount FROM resets WHERE book_id = 964 OFFSET 1;
SELECT * FROM balances WHERE book_id = 964;

-- 7. Rows that cannot be

INSERT INTO ledger.collateral VALUES ('USDT', 1, NULL);
INSERT INTO ledger.collateral VALUES ('USDT', -0.1, NULL);
INSERT INTO ledger.collateral VALUES ('USDT', 'NaN', NULL);
INSERT INTO ledger.collateral VALUES ('USDT', 0, 'Infinity');
\set VERBOSITY terse
UPDATE ledger.index_price SET price = 0 WHERE asset_code = 'BTC';
UPDATE ledger.index_price SET price = 'NaN' WHERE asset_code = 'BTC';
UPDATE ledger.index_price SET asset_code = 'USD' WHERE asset_code = 'BTC';
INSERT INTO ledger.index_price (asset_code, price) VALUES ('DOGE96', 1);
\set VERBOSITY sqlstate
UPDATE ledger.index_price SET price = 1, observed_at = 'infinity' WHERE asset_code = 'BTC';
UPDATE ledger.index_price SET price = 1, observed_at = '-infinity' WHERE asset_code = 'BTC';
\set VERBOSITY terse
-- what comes late changes nothing; without a time of its own it is of now
UPDATE ledger.index_price SET price = 1, observed_at = '2020-01-01' WHERE asset_code = 'BTC';
SELECT price FROM ledger.index_price WHERE asset_code = 'BTC';
BEGIN;
UPDATE ledger.index_price SET price = 49000 WHERE asset_code = 'BTC';
SELECT price, observed_at > now() AS later FROM ledger.index_price WHERE asset_code = 'BTC';
ROLLBACK;
-- a policy has groups, or it has none
INSERT INTO ledger.policy (policy_code, version, stages) VALUES ('group_96', 2, '{own,house}');
INSERT INTO ledger.policy (policy_code, version, stages, collateral_group) VALUES ('group_96', 2, '{own,fund,house}', true);
-- who is in a group is for the policy to say
UPDATE ledger.account SET in_group = NOT in_group WHERE book_id = 964;
INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code, in_group) VALUES (964, 20, 'USDT', 'group_96', true), (964, 21, 'USDT', 'electra', true);
SELECT account_id, in_group FROM ledger.account WHERE book_id = 964 AND account_id > 0 ORDER BY 1;
UPDATE ledger.account SET policy_code = 'electra' WHERE book_id = 964 AND account_id = 1;
UPDATE ledger.account SET owner_id = 'carol' WHERE book_id = 964 AND account_id = 20;
SELECT account_id, in_group FROM ledger.account WHERE book_id = 964 AND account_id IN (1, 20) ORDER BY 1;
DELETE FROM ledger.exchange WHERE book_id = 963;
INSERT INTO ledger.exchange (book_id, account_id, from_account, cause, cause_kind, asset_code, from_asset, amount, from_amount,
							 index_price, from_index_price, haircut, owner_id)
VALUES (963, 1, 2, 1, 'trade', 'USDT', 'BTC', 1, 1, 1, 1, 0, 'alice');
SELECT * FROM risk.verify() WHERE violations > 0;
DELETE FROM ledger.collateral;
DELETE FROM ledger.index_price;
