-- Which transfers there may be: shipped, changed, recorded.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(304, 'rules');
INSERT INTO ledger.account (book_id, account_id, asset_code) VALUES (304, 1, 'USDT'), (304, 2, 'USDT');
SELECT risk.deposit(1, 1000, 304) > 0 AS deposited;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (3401, 'BTC/USDT 34', 'USDT');
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 34001;

-- tries a transfer of that kind between accounts of those kinds, and takes it back
CREATE FUNCTION pg_temp.attempt(kind text, from_kind text, to_kind text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
	VALUES (304, CASE from_kind WHEN 'trader' THEN 1 ELSE risk.system_account(304, from_kind, 'USDT') END,
			CASE to_kind WHEN 'trader' THEN 2 ELSE risk.system_account(304, to_kind, 'USDT') END, 1, kind);
	RAISE SQLSTATE 'Z0001';
EXCEPTION
	WHEN SQLSTATE 'Z0001' THEN RETURN 'yes';
	WHEN invalid_parameter_value THEN RETURN CASE WHEN SQLERRM LIKE '%is not allowed' THEN '-' ELSE SQLERRM END;
	-- allowed, but a fund or liquidity account with nothing in it gives nothing
	WHEN check_violation THEN RETURN 'yes';
END
$$;

-- 1. As shipped: each kind of transfer, by who pays and who is paid

CREATE TEMP VIEW account_kind AS
SELECT * FROM unnest(ARRAY['trader', 'fee', 'insurance_fund', 'liquidity', 'external', 'house', 'receivable', 'funding',
						   'interbook', 'suspense']) WITH ORDINALITY AS k(kind, place);
SELECT t.kind, f.kind AS "from",
	   coalesce(string_agg(o.kind, ', ' ORDER BY o.place) FILTER (WHERE a.answer = 'yes'), 'none') AS "to",
	   string_agg(DISTINCT a.answer, ', ') FILTER (WHERE a.answer NOT IN ('yes', '-')) AS other
  FROM unnest(ARRAY['deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee']) WITH ORDINALITY AS t(kind, place)
 CROSS JOIN account_kind f
 CROSS JOIN account_kind o
 CROSS JOIN LATERAL pg_temp.attempt(t.kind, f.kind, o.kind) AS a(answer)
 WHERE f.kind <> o.kind OR f.kind = 'trader'
 GROUP BY t.place, t.kind, f.place, f.kind ORDER BY t.place, f.place;
-- a trade is not a way into the fund
DO $$
BEGIN
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	VALUES (304, risk.system_account(304, 'insurance_fund', 'USDT'), 3401, 'sell', 1, 100, 34001), (304, 1, 3401, 'buy', 1, 100, 34001);
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE '%: %', SQLSTATE, regexp_replace(SQLERRM, '-?\d+', 'n', 'g');
END
$$;

-- 2. Refused as a whole, and the first is named

\set VERBOSITY terse
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (304, 1, 2, 1, 'transfer'), (304, 1, 2, 1, 'fee'), (304, 1, 2, 1, 'deposit');
\set VERBOSITY default
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (304, 1, 2, 1, 'deposit');

-- 3. A rule that is added, and taken back; each is on record

INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind, reason) VALUES ('fee', 'trader', 'trader', 'introducing brokers');
SELECT pg_temp.attempt('fee', 'trader', 'trader');
-- posted under it, and right for good
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (304, 1, 2, 2, 'fee');
BEGIN;
INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind, allowed, reason) VALUES ('fee', 'trader', 'trader', false, 'no longer');
SELECT pg_temp.attempt('fee', 'trader', 'trader');
ROLLBACK;
SELECT pg_temp.attempt('fee', 'trader', 'trader');
INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind, allowed, reason) VALUES
	('fee', 'trader', 'trader', false, 'no longer'), ('transfer', 'trader', 'trader', false, 'not here');
SELECT pg_temp.attempt('fee', 'trader', 'trader'), pg_temp.attempt('transfer', 'trader', 'trader');
-- install() does not bring back what was taken back
SELECT risk.install();
SELECT pg_temp.attempt('transfer', 'trader', 'trader');
SELECT kind, from_kind, to_kind, version, allowed, reason, who = session_user AS who, posted_at <= clock_timestamp() AS in_time
  FROM ledger.transfer_rule WHERE from_kind = 'trader' AND to_kind = 'trader' ORDER BY kind COLLATE "C", version;
INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind, reason) VALUES ('transfer', 'trader', 'trader', 'as before');
SELECT pg_temp.attempt('transfer', 'trader', 'trader');

-- 4. Errors

INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind, version) VALUES ('transfer', 'trader', 'trader', 2);
\set VERBOSITY terse
INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind, who) VALUES ('transfer', 'trader', 'trader', 'mallory');
INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind) VALUES ('transfer', 'trader', 'clearing');
INSERT INTO ledger.transfer_rule (kind, from_kind, to_kind) VALUES ('transfer', 'fund', 'trader');
UPDATE ledger.transfer_rule SET allowed = true;
DELETE FROM ledger.transfer_rule;
TRUNCATE ledger.transfer_rule CASCADE;
\set VERBOSITY default

SELECT * FROM risk.verify() WHERE violations > 0;
