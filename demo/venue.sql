-- venue.sql
--		What both demos begin with: the extension, one asset, one instrument,
--		and a generator.  Expects the psql variables symbol, scale, seed, fund
--		and liquidity.

CREATE EXTENSION IF NOT EXISTS risk_ext;
\o /dev/null
SELECT risk.install();

INSERT INTO ledger.asset (asset_code, scale) VALUES ('USDT', :scale);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, :'symbol', 'USDT');
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage)
VALUES (1, 0, 0.005, 100), (1, 500000, 0.01, 50), (1, 2000000, 0.025, 20), (1, 10000000, 0.05, 10);

SELECT risk.deposit(risk.system_account(1, 'insurance_fund', 'USDT'), :fund),
	   risk.deposit(risk.system_account(1, 'liquidity', 'USDT'), :liquidity);
\o

SELECT risk.system_account(1, 'insurance_fund', 'USDT') AS fund_account,
	   risk.system_account(1, 'liquidity', 'USDT') AS liquidity_account,
	   risk.system_account(1, 'house', 'USDT') AS house_account,
	   risk.system_account(1, 'external', 'USDT') AS external_account
\gset

CREATE SCHEMA demo;

-- random() may change from one version of PostgreSQL to the next
CREATE FUNCTION demo.draw(seed text, what text, id bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT
AS $function$
	SELECT ('x' || left(encode(sha256(convert_to(concat_ws(' ', seed, what, id), 'UTF8')), 'hex'), 12))::bit(48)::bigint
		   / 281474976710656.0
$function$;
COMMENT ON FUNCTION demo.draw(text, text, bigint) IS
	'A number from 0 up to but not including 1: always the same for the same seed, name and id.';

CREATE FUNCTION demo.draw_leverage(seed text, id bigint) RETURNS int
LANGUAGE sql IMMUTABLE STRICT
AS $function$ SELECT ('{5,10,20,50,100}'::int[])[1 + floor(demo.draw(seed, 'leverage', id) * 5)::int] $function$;
