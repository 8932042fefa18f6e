-- Warnings as the margin level falls, each once until it has recovered.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.asset VALUES ('USD75', 2);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (7501, 'A of 75', 'USDT'), (7502, 'B of 75', 'USDT'), (7503, 'C of 75', 'USD75');
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage, maintenance_amount)
VALUES (7501, 0, 0.005, 20, 500), (7502, 0, 0.05, 10, 0), (7503, 0, 0.05, 10, 0);
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (7501, 25000), (7502, 100), (7503, 100);
INSERT INTO ledger.policy (policy_code, stages, maintenance_basis, alert_levels, alert_hysteresis)
VALUES ('alerts 75', '{own,fund,house}', 'amount', '{150,120,105}', 5), ('group 75', '{own,fund,house}', 'mark', '{200}', 5);
SELECT risk.change_policy('group 75 group', '{"stages": ["own", "fund", "house"], "alert_levels": [200], "collateral_group": true}');
SELECT risk.create_book(751, 'alerts');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (751, 1, 'USDT', 'alice', 'alerts 75'), (751, 2, 'USDT', 'bob', 'alerts 75'), (751, 3, 'USDT', 'carol', 'group 75'), (751, 4, 'USDT', 'maker', 'default'),
	   (751, 5, 'USD75', 'dora', 'group 75 group'), (751, 6, 'USD75', 'dora', 'group 75 group'), (751, 7, 'USD75', 'maker', 'default');
SELECT count(risk.deposit(a, d, 751)) FROM (VALUES (1, 1500), (2, 1500), (3, 200), (4, 1000000), (5, 150), (6, 50), (7, 1000000)) AS v(a, d);
CREATE FUNCTION pg_temp.trade(account_id bigint, instrument_id int, side text, qty numeric, price numeric, execution_id bigint) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	VALUES (751, account_id, instrument_id, side, qty, price, 751000 + execution_id),
		   (751, CASE instrument_id WHEN 7503 THEN 7 ELSE 4 END, instrument_id, CASE side WHEN 'buy' THEN 'sell' ELSE 'buy' END, qty, price, 751000 + execution_id)
$$;
-- what a mark does: who is found, and what comes of it
CREATE FUNCTION pg_temp.mark(price numeric, instrument_id int DEFAULT 7501) RETURNS SETOF text LANGUAGE sql AS $$
	UPDATE ledger.mark_price SET price = mark.price WHERE instrument_id = mark.instrument_id;
	SELECT format('account %s: %s', a.account_id, concat_ws(' ', a.result, trim_scale(a.level), 'at ' || trim_scale(round(a.margin_level, 2))))
	  FROM risk.alert(mark.instrument_id) a
$$;
CREATE TEMP VIEW state AS
SELECT s.account_id, s.fired_level FROM ledger.alert_state s WHERE s.book_id = 751 ORDER BY s.account_id;
CREATE TEMP VIEW prices AS
SELECT p.account_id, round(p.trigger_price, 4) AS trigger_price, round(p.alert_price, 4) AS alert_price, round(p.rearm_price, 4) AS rearm_price
  FROM ledger.position p WHERE p.book_id = 751 AND p.qty <> 0 AND p.account_id NOT IN (4, 7) ORDER BY p.account_id;

-- 1. Electra: 10,000 at 25,000 with 1,500, maintenance 500.  The margin level is 300 % there,
-- 150 % at 23,125, 120 % at 22,750, 105 % at 22,562.50, and 100 % at 22,500

SELECT pg_temp.trade(1, 7501, 'buy', 0.4, 25000, 1), pg_temp.trade(2, 7501, 'sell', 0.4, 25000, 2);
-- the alert price is between the mark and 23,125 (80 % of the way), and nearer than the trigger of a liquidation
SELECT * FROM prices;
SELECT pg_temp.mark(24000);
-- looked at, and moved on
SELECT pg_temp.mark(23200);
SELECT * FROM prices;
SELECT pg_temp.mark(23125.01);
SELECT pg_temp.mark(23125);
SELECT kind, account_id, jsonb_pretty(payload) FROM ledger.event WHERE book_id = 751 AND kind = 'alert';
-- once
SELECT pg_temp.mark(23100);
SELECT pg_temp.mark(22800);
SELECT * FROM state;
-- two levels in one tick: two warnings, the higher one first
SELECT pg_temp.mark(22550);
SELECT account_id, payload ->> 'level' AS level, payload ->> 'margin_level' AS margin_level, payload ->> 'amount' AS amount, payload ->> 'by' AS by
  FROM ledger.event WHERE book_id = 751 AND kind = 'alert' ORDER BY event_id;
SELECT * FROM state;
-- nothing is left to be told, and the account waits to recover: to 110 % at 22,625
SELECT * FROM prices WHERE account_id = 1;
SELECT pg_temp.mark(22624.99);
SELECT pg_temp.mark(22625);
SELECT * FROM state;
-- and is told again
SELECT pg_temp.mark(22560);
-- all the way: 120 % is forgotten at 125 %, and 150 % at 155 %, which is 23,187.50
SELECT pg_temp.mark(23187.49);
SELECT pg_temp.mark(23187.5);
SELECT * FROM state;
-- the short one, the other way: 150 % at 26,875
SELECT pg_temp.mark(26874);
SELECT pg_temp.mark(26875);
SELECT * FROM state;
-- at 27,520 it could be liquidated already: at once
SELECT pg_temp.mark(27520);
SELECT payload ->> 'level' AS level, payload ->> 'margin_level' AS margin_level, payload ->> 'amount' AS amount, payload ->> 'by' AS by, payload -> 'steps' -> 2 AS last_step
  FROM ledger.event WHERE book_id = 751 AND kind = 'alert' AND account_id = 2 ORDER BY event_id DESC LIMIT 1;

-- 2. The amount helps: bob needs 110 % of 500, and his equity is 492

SELECT risk.deposit(2, 58, 751) > 0 AS deposited;
SELECT format('account %s: %s', a.account_id, a.result) FROM risk.alert(7501) a;
SELECT * FROM state;
-- a withdrawal does the contrary: no mark moves, and he is found
SELECT pg_temp.mark(25000);
SELECT risk.withdraw(1, 500, 751) > 0 AS withdrawn;
SELECT format('account %s: %s', a.account_id, a.result) FROM risk.alert(7501) a;
SELECT margin_level FROM ledger.account_risk WHERE book_id = 751 AND account_id = 1;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (751, 1, risk.system_account(751, 'external', 'USDT'), 300, 'chargeback');
SELECT format('account %s: %s %s', a.account_id, a.result, a.level) FROM risk.alert(7501) a;

-- 3. A position that is closed has nothing to be told; another one begins anew

SELECT pg_temp.trade(1, 7501, 'sell', 0.4, 25000, 3);
SELECT * FROM state;
SELECT pg_temp.trade(1, 7501, 'buy', 0.4, 25000, 4);
SELECT format('account %s: %s %s', a.account_id, a.result, a.level) FROM risk.alert(7501) a;

-- 4. Two positions, and a policy that changes: its levels are those of the moment

SELECT pg_temp.trade(3, 7502, 'buy', 10, 100, 5);
SELECT pg_temp.trade(3, 7501, 'buy', 0.01, 25000, 6);
SELECT margin_level FROM ledger.account_risk WHERE book_id = 751 AND account_id = 3;
SELECT pg_temp.mark(90, 7502);
SELECT risk.change_policy('group 75', '{"alert_levels": [300, 200]}');
SELECT format('account %s: %s %s', a.account_id, a.result, a.level) FROM risk.alert(7502) a;
SELECT risk.change_policy('group 75', '{"alert_levels": []}');
SELECT format('account %s: %s %s', a.account_id, a.result, a.level) FROM risk.alert(7502) a;

-- what was told before is forgotten all the same
SELECT pg_temp.mark(100, 7502);

-- 5. In a margin group by the level of the group: dora has 150 and 50, and 10 at 100 require 50

INSERT INTO ledger.index_price (asset_code, price) VALUES ('USD75', 1);
INSERT INTO ledger.collateral (asset_code, haircut) VALUES ('USD75', 0);
SELECT pg_temp.trade(5, 7503, 'buy', 10, 100, 7);
SELECT round(margin_level, 2) AS margin_level, round(group_level, 2) AS group_level FROM ledger.account_risk WHERE book_id = 751 AND account_id = 5;
SELECT pg_temp.mark(90, 7503);
SELECT risk.withdraw(6, 10, 751) > 0 AS withdrawn;
SELECT format('account %s: %s %s', a.account_id, a.result, a.level) FROM risk.alert(7503) a;
SELECT payload FROM ledger.event WHERE book_id = 751 AND kind = 'alert' AND account_id = 5;

-- 6. What is refused

UPDATE ledger.alert_state SET fired_level = 1 WHERE book_id = 751;
SELECT * FROM risk.alert_account(751, 99);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM risk.alert_account(751, 1);
ROLLBACK;
SELECT check_name, violations, first_offender FROM risk.verify(751) WHERE violations > 0;
