-- Which transfers there may be: the rules as shipped, and how they change.

CREATE FUNCTION risk.shipped_transfer_rules(OUT kind text, OUT from_kind text, OUT to_kind text)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $function$
	WITH account_kind AS (
		SELECT unnest(ARRAY['trader', 'fee', 'insurance_fund', 'liquidity', 'external', 'house',
							'receivable', 'funding', 'interbook', 'suspense']) AS kind)
	SELECT t.kind, f.kind, o.kind
	  FROM unnest(ARRAY['deposit', 'withdrawal', 'transfer', 'chargeback', 'correction', 'fee']) AS t(kind)
	 CROSS JOIN account_kind f
	 CROSS JOIN account_kind o
	 WHERE CASE t.kind
				-- money comes from outside and goes there
				WHEN 'deposit' THEN f.kind = 'external' AND o.kind <> 'external'
				WHEN 'withdrawal' THEN f.kind <> 'external' AND o.kind = 'external'
				WHEN 'chargeback' THEN f.kind <> 'external' AND o.kind IN ('external', 'house') AND f.kind <> o.kind
				WHEN 'fee' THEN o.kind IN ('fee', 'house', 'insurance_fund') AND f.kind <> o.kind
				-- a book has one account of each kind but trader; and a fact between
				-- two traders would be a way around what an account can spare
				WHEN 'correction' THEN f.kind <> o.kind
				WHEN 'transfer' THEN f.kind <> o.kind OR f.kind = 'trader'
		   END
$function$;
COMMENT ON FUNCTION risk.shipped_transfer_rules() IS
	'The transfer rules that risk.install() puts in: deposits come from outside, withdrawals go there, chargebacks go there or to the house, fees to the fee account, the house or the fund; corrections join any two kinds of account, and transfers also two traders. Nothing touches clearing.';

CREATE FUNCTION risk.check_transfer_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	last_version int;
BEGIN
	IF NEW.who IS DISTINCT FROM session_user THEN
		RAISE EXCEPTION 'transfer rule %, % to %: "%" is not who inserts it', NEW.kind, NEW.from_kind, NEW.to_kind, NEW.who
			USING ERRCODE = '22023', DETAIL = format('The session is that of "%s".', session_user),
				  HINT = 'Leave the column out.';
	END IF;
	SELECT max(r.version) INTO last_version
	  FROM ledger.transfer_rule r
	 WHERE r.kind = NEW.kind AND r.from_kind = NEW.from_kind AND r.to_kind = NEW.to_kind;
	NEW.version := coalesce(NEW.version, last_version + 1, 1);
	IF NEW.version <= coalesce(last_version, 0) THEN
		RAISE EXCEPTION 'transfer rule %, % to % has a later version', NEW.kind, NEW.from_kind, NEW.to_kind
			USING ERRCODE = '22023', DETAIL = format('Version %s would not come into force after version %s.', NEW.version, last_version),
				  HINT = 'Leave the column out.';
	END IF;
	NEW.posted_at := clock_timestamp();
	RETURN NEW;
END
$function$;
COMMENT ON FUNCTION risk.check_transfer_rule() IS
	'Numbers a transfer rule and puts in the time. Raises 22023 for a version that would not be in force, or for another user''s name.';

REVOKE ALL ON FUNCTION risk.check_transfer_rule() FROM PUBLIC;
