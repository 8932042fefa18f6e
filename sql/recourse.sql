-- recourse.sql
--		Debts: what others paid for an account whose policy asks it back, and how
--		it is paid back, agreed on, penalised and waived.
--
-- A debt changes with the balance of its account locked, so the order of locks
-- is that of posting.  Money moves by journals of the kinds repayment and
-- waiver, which only these functions may write.

CREATE FUNCTION risk.create_recourse_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.debt (
		book_id int NOT NULL REFERENCES ledger.book,
		debt_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		account_id bigint NOT NULL,
		shortfall_id bigint NOT NULL,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		settled_at timestamptz,
		owner_id text,
		asset_code text NOT NULL REFERENCES ledger.asset,
		principal numeric NOT NULL CHECK (principal > 0),
		penalty numeric NOT NULL DEFAULT 0 CHECK (penalty >= 0),
		repaid numeric NOT NULL DEFAULT 0 CHECK (repaid >= 0),
		waived numeric NOT NULL DEFAULT 0 CHECK (waived >= 0),
		policy_code text NOT NULL,
		policy_version int NOT NULL,
		PRIMARY KEY (book_id, debt_id),
		UNIQUE (book_id, shortfall_id),
		FOREIGN KEY (book_id, account_id) REFERENCES ledger.account,
		CONSTRAINT debt_is_not_overpaid CHECK (repaid + waived <= principal + penalty),
		CONSTRAINT debt_is_settled_when_nothing_is_left CHECK ((settled_at IS NOT NULL) = (repaid + waived = principal + penalty))
	);
	CREATE INDEX IF NOT EXISTS debt_account ON ledger.debt (book_id, account_id) WHERE settled_at IS NULL;
	COMMENT ON TABLE ledger.debt IS
		'What an account owes for a shortfall that others paid, where its policy says recourse debt. Made in the transaction of the shortfall. outstanding = principal + penalty - repaid - waived. Written by posting and by risk.repay(), risk.plan_instalments(), risk.accrue_penalties() and risk.waive().';
	COMMENT ON COLUMN ledger.debt.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.debt.debt_id IS 'Number of the debt.';
	COMMENT ON COLUMN ledger.debt.account_id IS 'Who owes.';
	COMMENT ON COLUMN ledger.debt.shortfall_id IS 'The shortfall.';
	COMMENT ON COLUMN ledger.debt.posted_at IS 'When it was made.';
	COMMENT ON COLUMN ledger.debt.settled_at IS 'When nothing was left of it; NULL: it is open.';
	COMMENT ON COLUMN ledger.debt.owner_id IS 'Whose account it was.';
	COMMENT ON COLUMN ledger.debt.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.debt.principal IS 'What others paid: the amount of the shortfall.';
	COMMENT ON COLUMN ledger.debt.penalty IS 'What late instalments have added.';
	COMMENT ON COLUMN ledger.debt.repaid IS 'What was paid back, penalties included.';
	COMMENT ON COLUMN ledger.debt.waived IS 'What the venue has waived.';
	COMMENT ON COLUMN ledger.debt.policy_code IS 'The policy of the account then.';
	COMMENT ON COLUMN ledger.debt.policy_version IS 'The version in force then; its penalty rate and grace hold for the debt.';

	CREATE TABLE IF NOT EXISTS ledger.instalment (
		book_id int NOT NULL,
		debt_id bigint NOT NULL,
		instalment int NOT NULL CHECK (instalment > 0),
		due_at timestamptz NOT NULL,
		amount numeric NOT NULL CHECK (amount > 0),
		paid numeric NOT NULL DEFAULT 0 CHECK (paid >= 0 AND paid <= amount),
		penalised_days int NOT NULL DEFAULT 0 CHECK (penalised_days >= 0),
		told_at timestamptz,
		PRIMARY KEY (book_id, debt_id, instalment),
		FOREIGN KEY (book_id, debt_id) REFERENCES ledger.debt
	);
	COMMENT ON TABLE ledger.instalment IS
		'The instalments that were agreed on for a debt. They sum to what was outstanding then; penalties come on top.';
	COMMENT ON COLUMN ledger.instalment.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.instalment.debt_id IS 'The debt.';
	COMMENT ON COLUMN ledger.instalment.instalment IS 'Its number, from 1.';
	COMMENT ON COLUMN ledger.instalment.due_at IS 'When it has to be paid.';
	COMMENT ON COLUMN ledger.instalment.amount IS 'How much.';
	COMMENT ON COLUMN ledger.instalment.paid IS 'What was paid or waived of it; the oldest first.';
	COMMENT ON COLUMN ledger.instalment.penalised_days IS 'For how many days of delay a penalty was added.';
	COMMENT ON COLUMN ledger.instalment.told_at IS 'When the event instalment_due was sent; NULL: not yet.';

	CREATE TABLE IF NOT EXISTS ledger.repayment (
		book_id int NOT NULL,
		repayment_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		shortfall_id bigint NOT NULL,
		debt_id bigint,
		execution_id bigint,
		account_id bigint NOT NULL,
		payee_account bigint NOT NULL,
		journal_id bigint NOT NULL,
		reset_id bigint,
		payment_id bigint,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		amount numeric NOT NULL CHECK (amount > 0),
		stage text NOT NULL,
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, repayment_id),
		FOREIGN KEY (book_id, debt_id) REFERENCES ledger.debt
	);
	CREATE INDEX IF NOT EXISTS repayment_shortfall ON ledger.repayment (book_id, shortfall_id);
	COMMENT ON TABLE ledger.repayment IS
		'What was paid back to whom, one row per payee. Append-only.';
	COMMENT ON COLUMN ledger.repayment.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.repayment.repayment_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.repayment.shortfall_id IS 'The shortfall that others had paid.';
	COMMENT ON COLUMN ledger.repayment.debt_id IS 'The debt; NULL: there was none.';
	COMMENT ON COLUMN ledger.repayment.execution_id IS 'The execution whose bust brought the money back; NULL: the account repaid it.';
	COMMENT ON COLUMN ledger.repayment.account_id IS 'Who paid it back.';
	COMMENT ON COLUMN ledger.repayment.payee_account IS 'Who got it.';
	COMMENT ON COLUMN ledger.repayment.journal_id IS 'The journal of kind repayment that moved it.';
	COMMENT ON COLUMN ledger.repayment.reset_id IS 'The reset that it gives back; NULL: a payment after the commit, or a penalty.';
	COMMENT ON COLUMN ledger.repayment.payment_id IS 'The payment in ledger.shortfall_payment that it gives back.';
	COMMENT ON COLUMN ledger.repayment.posted_at IS 'When.';
	COMMENT ON COLUMN ledger.repayment.amount IS 'How much, in units of the asset.';
	COMMENT ON COLUMN ledger.repayment.stage IS 'The stage in which the payee had paid; penalty: the venue''s fee account.';
	COMMENT ON COLUMN ledger.repayment.who IS 'Who ran the transaction.';

	CREATE TABLE IF NOT EXISTS ledger.waiver (
		book_id int NOT NULL,
		waiver_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
		debt_id bigint NOT NULL,
		journal_id bigint,
		posted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		amount numeric NOT NULL CHECK (amount > 0),
		reason text NOT NULL CHECK (reason <> ''),
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, waiver_id),
		FOREIGN KEY (book_id, debt_id) REFERENCES ledger.debt
	);
	CREATE INDEX IF NOT EXISTS waiver_debt ON ledger.waiver (book_id, debt_id);
	COMMENT ON TABLE ledger.waiver IS
		'What the venue has waived of debts, case by case. Append-only.';
	COMMENT ON COLUMN ledger.waiver.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.waiver.waiver_id IS 'Number of the row.';
	COMMENT ON COLUMN ledger.waiver.debt_id IS 'The debt.';
	COMMENT ON COLUMN ledger.waiver.journal_id IS 'The journal of kind waiver by which the house took over what stood on the receivable beyond what is still owed; NULL: nothing did.';
	COMMENT ON COLUMN ledger.waiver.posted_at IS 'When.';
	COMMENT ON COLUMN ledger.waiver.amount IS 'How much, in units of the asset.';
	COMMENT ON COLUMN ledger.waiver.reason IS 'Why.';
	COMMENT ON COLUMN ledger.waiver.who IS 'Who waived it.';
END
$function$;
COMMENT ON FUNCTION risk.create_recourse_tables() IS
	'Makes the tables of debts. Called by risk.install().';

-- Called by the waterfall, whose gate is passed and whose accounts are locked.
CREATE FUNCTION risk.claim_debts(book_id int, shortfall_ids bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	claimed record;
BEGIN
	FOR claimed IN
		INSERT INTO ledger.debt (book_id, account_id, shortfall_id, owner_id, asset_code, principal, policy_code, policy_version)
		SELECT s.book_id, s.account_id, s.shortfall_id, s.owner_id, s.asset_code, s.amount, s.policy_code, s.policy_version
		  FROM ledger.shortfall s
		  JOIN ledger.policy p ON p.policy_code = s.policy_code AND p.version = s.policy_version AND p.recourse = 'debt'
		  JOIN ledger.account a ON a.book_id = s.book_id AND a.account_id = s.account_id AND a.kind = 'trader'
		 WHERE s.book_id = claim_debts.book_id AND s.shortfall_id = ANY (shortfall_ids)
		 ORDER BY s.shortfall_id
		RETURNING *
	LOOP
		INSERT INTO ledger.event (book_id, account_id, kind, payload)
		VALUES (claimed.book_id, claimed.account_id, 'debt',
				jsonb_build_object('debt_id', claimed.debt_id, 'shortfall_id', claimed.shortfall_id, 'owner_id', claimed.owner_id,
								   'asset_code', claimed.asset_code, 'amount', claimed.principal,
								   'steps', jsonb_build_array(
									format('Deposit %s %s: it pays the debt first, and lifts the freeze.', claimed.principal, claimed.asset_code),
									'Or agree on instalments with the venue: the freeze is lifted while those that are due are paid.')));
		PERFORM risk.make_freeze(claimed.book_id,
								 CASE WHEN s.scope = 'account' THEN claimed.account_id END,
								 CASE WHEN s.scope = 'owner' THEN claimed.owner_id END, 'debt', claimed.debt_id)
		   FROM (SELECT CASE WHEN claimed.owner_id IS NULL THEN 'account' ELSE p.freeze_scope END AS scope
				   FROM ledger.policy p
				  WHERE p.policy_code = claimed.policy_code AND p.version = claimed.policy_version) s;
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.claim_debts(int, bigint[]) IS
	'Makes debts of the shortfalls whose policy says recourse debt, freezes the accounts or their owners, and sends the notices. Called by posting, in the transaction of the shortfall.';

CREATE FUNCTION risk.lock_debt(book_id int, debt_id bigint, OUT account_id bigint, OUT asset_code text, OUT scale int, OUT outstanding numeric)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	SELECT d.account_id, d.asset_code, s.scale INTO account_id, asset_code, scale
	  FROM ledger.debt d JOIN ledger.asset s ON s.asset_code = d.asset_code
	 WHERE d.book_id = lock_debt.book_id AND d.debt_id = lock_debt.debt_id;
	IF account_id IS NULL THEN
		RAISE EXCEPTION 'debt % of book % does not exist', debt_id, book_id
			USING ERRCODE = '23503', HINT = 'See ledger.debt.';
	END IF;
	-- the balance first, as every posting does
	PERFORM FROM ledger.balance b
	 WHERE b.book_id = lock_debt.book_id AND b.slot = 0 AND b.account_id = lock_debt.account_id
	   FOR NO KEY UPDATE;
	SELECT d.principal + d.penalty - d.repaid - d.waived INTO outstanding
	  FROM ledger.debt d
	 WHERE d.book_id = lock_debt.book_id AND d.debt_id = lock_debt.debt_id
	   FOR NO KEY UPDATE;
	IF outstanding = 0 THEN
		RAISE EXCEPTION 'debt % of book % is settled', debt_id, book_id
			USING ERRCODE = '55000', DETAIL = 'Nothing is outstanding.', HINT = 'See ledger.debt.';
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.lock_debt(int, bigint) IS
	'Locks the balance of the account that owes, then the debt, and says what is outstanding. 23503 for an unknown debt, 55000 for one that is settled.';

CREATE FUNCTION risk.credit_instalments(book_id int, debt_id bigint, amount numeric) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
	UPDATE ledger.instalment i
	   SET paid = i.paid + greatest(least(i.amount - i.paid, $3 - u.before), 0)
	  FROM (SELECT n.instalment, coalesce(sum(n.amount - n.paid) OVER (ORDER BY n.instalment ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
			  FROM ledger.instalment n WHERE n.book_id = $1 AND n.debt_id = $2) u
	 WHERE i.book_id = $1 AND i.debt_id = $2 AND i.instalment = u.instalment AND u.before < $3
$function$;
COMMENT ON FUNCTION risk.credit_instalments(int, bigint, numeric) IS
	'Counts an amount towards the instalments of a debt, the oldest first.';

-- What happens whenever a debt has become smaller, or is agreed on.
CREATE FUNCTION risk.review_debt(book_id int, debt_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	debt ledger.debt;
	because text;
	held bigint;
BEGIN
	UPDATE ledger.debt d SET settled_at = clock_timestamp()
	 WHERE d.book_id = review_debt.book_id AND d.debt_id = review_debt.debt_id
	   AND d.settled_at IS NULL AND d.repaid + d.waived = d.principal + d.penalty;
	SELECT * INTO debt FROM ledger.debt d WHERE d.book_id = review_debt.book_id AND d.debt_id = review_debt.debt_id;
	because := CASE WHEN debt.settled_at IS NOT NULL THEN 'settled'
					WHEN EXISTS (SELECT FROM ledger.instalment i WHERE i.book_id = debt.book_id AND i.debt_id = debt.debt_id)
						 AND NOT EXISTS (SELECT FROM ledger.instalment i
										  WHERE i.book_id = debt.book_id AND i.debt_id = debt.debt_id
											AND i.due_at <= clock_timestamp() AND i.paid < i.amount)
					THEN 'due instalments paid' END;
	SELECT f.freeze_id INTO held FROM ledger.freeze f
	 WHERE f.book_id = debt.book_id AND f.reason = 'debt' AND f.source_id = debt.debt_id AND f.lifted_at IS NULL;
	IF because IS NOT NULL AND held IS NOT NULL THEN
		PERFORM risk.end_freeze(debt.book_id, held, because);
	ELSIF because IS NULL AND held IS NULL THEN
		PERFORM risk.make_freeze(debt.book_id, CASE WHEN debt.owner_id IS NULL OR p.freeze_scope = 'account' THEN debt.account_id END,
								 CASE WHEN debt.owner_id IS NOT NULL AND p.freeze_scope = 'owner' THEN debt.owner_id END, 'debt', debt.debt_id)
		   FROM ledger.policy p WHERE p.policy_code = debt.policy_code AND p.version = debt.policy_version;
	END IF;
	IF debt.settled_at IS NOT NULL THEN
		INSERT INTO ledger.event (book_id, account_id, kind, payload)
		VALUES (debt.book_id, debt.account_id, 'debt_settled',
				jsonb_build_object('debt_id', debt.debt_id, 'repaid', debt.repaid, 'waived', debt.waived));
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.review_debt(int, bigint) IS
	'Marks a debt as settled when nothing is outstanding, and lifts its freeze then or while all instalments that are due are paid; freezes again when one is not.';

-- Who paid last is paid back first: what nobody has been found for yet, then
-- who paid after the commit, then who paid in it.  What deleveraging brought goes
-- to the fund, since its counterparties cannot be given their positions back.
CREATE FUNCTION risk.payers_to_return(book_id int, shortfall_id bigint, amount numeric)
RETURNS TABLE (place bigint, payee_account bigint, stage text, reset_id bigint, payment_id bigint, part numeric)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	WITH paid AS (
		SELECT 1 AS turn, r.reset_id AS id, r.payer_account AS payee_account, r.stage, r.reset_id, NULL::bigint AS payment_id, o.remaining AS due
		  FROM ledger.open_shortfall o
		  JOIN ledger.reset r ON r.book_id = o.book_id AND r.shortfall_id = o.shortfall_id AND r.stage = 'suspense'
		 WHERE o.book_id = $1 AND o.shortfall_id = $2
		UNION ALL
		SELECT 2, y.payment_id,
			   CASE y.stage WHEN 'adl' THEN risk.system_account(y.book_id, 'insurance_fund', y.asset_code) ELSE y.account_id END,
			   y.stage, NULL, y.payment_id,
			   y.amount - coalesce((SELECT sum(b.amount) FROM ledger.repayment b
									 WHERE b.book_id = $1 AND b.shortfall_id = $2 AND b.payment_id = y.payment_id), 0)
		  FROM ledger.shortfall_payment y
		 WHERE y.book_id = $1 AND y.shortfall_id = $2
		UNION ALL
		SELECT 3, r.reset_id, r.payer_account, r.stage, r.reset_id, NULL,
			   r.amount - coalesce((SELECT sum(b.amount) FROM ledger.repayment b
									 WHERE b.book_id = $1 AND b.shortfall_id = $2 AND b.reset_id = r.reset_id), 0)
		  FROM ledger.reset r
		 WHERE r.book_id = $1 AND r.shortfall_id = $2 AND r.stage <> 'suspense'
	), queue AS (
		SELECT p.*, row_number() OVER turns AS place,
			   coalesce(sum(p.due) OVER (turns ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
		  FROM paid p WHERE p.due > 0
		WINDOW turns AS (ORDER BY p.turn, p.id DESC)
	)
	SELECT q.place, q.payee_account, q.stage, q.reset_id, q.payment_id, least(q.due, $3 - q.before)
	  FROM queue q WHERE q.before < $3
	 ORDER BY q.place
$function$;
COMMENT ON FUNCTION risk.payers_to_return(int, bigint, numeric) IS
	'To whom an amount goes that is paid back of a shortfall, in order: each gets at most what he paid and has not got back.';

-- Money moves, the rows say to whom, and less stands open.  Returns the journal.
CREATE FUNCTION risk.return_to_payers(
	book_id int, shortfall_id bigint, account_id bigint, amount numeric, debt_id bigint, execution_id bigint, asset_code text)
RETURNS numeric
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	payees jsonb;
	returned numeric;
	journal bigint;
BEGIN
	SELECT jsonb_agg(to_jsonb(p) ORDER BY p.place), coalesce(sum(p.part), 0) INTO payees, returned
	  FROM risk.payers_to_return(return_to_payers.book_id, return_to_payers.shortfall_id, return_to_payers.amount) p;
	-- beyond what was paid there are penalties
	IF debt_id IS NOT NULL AND returned < amount THEN
		payees := coalesce(payees, '[]') || jsonb_build_object(
			'place', 1e9, 'stage', 'penalty', 'part', amount - returned,
			'payee_account', risk.system_account(return_to_payers.book_id, 'fee', return_to_payers.asset_code));
		returned := amount;
	END IF;
	IF returned = 0 THEN
		RETURN 0;
	END IF;
	INSERT INTO ledger.journal (book_id, accounts, amounts, kind, metadata)
	SELECT return_to_payers.book_id, return_to_payers.account_id || array_agg(s.payee_account ORDER BY s.place),
		   -returned || array_agg(s.part ORDER BY s.place), 'repayment',
		   jsonb_strip_nulls(jsonb_build_object('shortfall_id', return_to_payers.shortfall_id, 'debt_id', debt_id, 'execution_id', execution_id))
	  FROM jsonb_to_recordset(payees) AS s(place numeric, payee_account bigint, part numeric)
	RETURNING journal_id INTO journal;
	INSERT INTO ledger.repayment (book_id, shortfall_id, debt_id, execution_id, account_id, payee_account, journal_id, reset_id, payment_id, amount, stage)
	SELECT return_to_payers.book_id, return_to_payers.shortfall_id, return_to_payers.debt_id, return_to_payers.execution_id,
		   return_to_payers.account_id, s.payee_account, journal, s.reset_id, s.payment_id, s.part, s.stage
	  FROM jsonb_to_recordset(payees) AS s(place numeric, payee_account bigint, reset_id bigint, payment_id bigint, stage text, part numeric)
	 ORDER BY s.place;
	DELETE FROM ledger.open_shortfall o
	 USING jsonb_to_recordset(payees) AS s(stage text, part numeric)
	 WHERE o.book_id = return_to_payers.book_id AND o.shortfall_id = return_to_payers.shortfall_id
	   AND s.stage = 'suspense' AND o.remaining = s.part;
	UPDATE ledger.open_shortfall o SET remaining = o.remaining - s.part
	  FROM jsonb_to_recordset(payees) AS s(stage text, part numeric)
	 WHERE o.book_id = return_to_payers.book_id AND o.shortfall_id = return_to_payers.shortfall_id
	   AND s.stage = 'suspense' AND o.remaining > s.part;
	RETURN returned;
END
$function$;
COMMENT ON FUNCTION risk.return_to_payers(int, bigint, bigint, numeric, bigint, bigint, text) IS
	'Pays an amount of an account back to those who paid its shortfall, what is beyond that to the fee account where there is a debt, and returns how much it paid. Run as posting does. A part of risk.repay() and risk.bust().';

-- Counts what was paid towards a debt.
CREATE FUNCTION risk.credit_debt(book_id int, debt_id bigint, amount numeric) RETURNS numeric
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	debtor bigint;
	outstanding numeric;
BEGIN
	UPDATE ledger.debt d
	   SET repaid = d.repaid + credit_debt.amount,
		   settled_at = CASE WHEN d.repaid + credit_debt.amount + d.waived = d.principal + d.penalty THEN clock_timestamp() END
	 WHERE d.book_id = credit_debt.book_id AND d.debt_id = credit_debt.debt_id
	RETURNING d.account_id, d.principal + d.penalty - d.repaid - d.waived INTO debtor, outstanding;
	PERFORM risk.credit_instalments(credit_debt.book_id, credit_debt.debt_id, credit_debt.amount);
	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	VALUES (credit_debt.book_id, debtor, 'repayment',
			jsonb_build_object('debt_id', credit_debt.debt_id, 'amount', credit_debt.amount, 'outstanding', outstanding));
	PERFORM risk.review_debt(credit_debt.book_id, credit_debt.debt_id);
	RETURN outstanding;
END
$function$;
COMMENT ON FUNCTION risk.credit_debt(int, bigint, numeric) IS
	'Counts an amount that went back to the payers as repaid, and returns what is outstanding then.';

-- Under risk.repay(), which runs it as posting does: what stands on suspense is
-- posting's to write.
CREATE FUNCTION risk.repay_debt(book_id int, debt_id bigint, amount numeric) RETURNS numeric
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	debt record;
	spare numeric;
BEGIN
	SELECT * INTO debt FROM risk.lock_debt(repay_debt.book_id, repay_debt.debt_id);
	IF amount > 0 IS NOT TRUE OR amount > debt.outstanding OR scale(trim_scale(amount)) > debt.scale THEN
		RAISE EXCEPTION 'debt % of book %: % cannot be repaid', debt_id, book_id, coalesce(amount::text, 'NULL')
			USING ERRCODE = '22023', DETAIL = format('Outstanding are %s %s.', debt.outstanding, debt.asset_code),
				  HINT = format('An amount is above zero, at most what is outstanding, and has at most %s digits after the point.', debt.scale);
	END IF;
	SELECT b.amount - b.floor INTO spare FROM ledger.balance b
	 WHERE b.book_id = repay_debt.book_id AND b.slot = 0 AND b.account_id = debt.account_id;
	IF amount > spare THEN
		RAISE EXCEPTION 'debt % of book %: account % cannot spare %', debt_id, book_id, debt.account_id, amount
			USING ERRCODE = '23514', DETAIL = format('It has %s %s above its floor.', spare, debt.asset_code),
				  HINT = 'Deposit first: a deposit to a frozen account pays the debt by itself.';
	END IF;
	PERFORM risk.return_to_payers(repay_debt.book_id, d.shortfall_id, debt.account_id, repay_debt.amount, repay_debt.debt_id, NULL, debt.asset_code)
	   FROM ledger.debt d WHERE d.book_id = repay_debt.book_id AND d.debt_id = repay_debt.debt_id;
	RETURN risk.credit_debt(repay_debt.book_id, repay_debt.debt_id, repay_debt.amount);
END
$function$;
COMMENT ON FUNCTION risk.repay_debt(int, bigint, numeric) IS
	'Pays a part of a debt out of the balance of the account, and returns what is outstanding then. Called by risk.repay() and by posting.';

CREATE FUNCTION risk.repay(debt_id bigint, amount numeric, book_id int DEFAULT 1) RETURNS numeric
LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'risk_repay';
COMMENT ON FUNCTION risk.repay(bigint, numeric, int) IS
	'Pays a part of a debt, or all of it, out of the balance of the account that owes, and returns what is outstanding then. It goes back to those who paid, the last one first (what stands open on suspense, who paid after the commit, house or receivable, fund), a penalty to the fee account at the end; instalments are paid the oldest first. The freeze ends when the debt is settled, or all instalments that are due are paid. Units of the asset. Errors: 23503 for an unknown debt, 55000 for one that is settled, 22023 for more than is outstanding or an amount that is none, 23514 for more than the account has above its floor.';

-- Called by posting for the frozen accounts that something was deposited on or moved to.
CREATE FUNCTION risk.pay_debts(book_id int, account_ids bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	due record;
	spare numeric;
BEGIN
	FOR due IN
		SELECT d.account_id, d.debt_id, d.principal + d.penalty - d.repaid - d.waived AS outstanding
		  FROM ledger.debt d
		 WHERE d.book_id = pay_debts.book_id AND d.account_id = ANY (account_ids) AND d.settled_at IS NULL
		 ORDER BY d.account_id, d.debt_id
	LOOP
		SELECT b.amount - b.floor INTO spare FROM ledger.balance b
		 WHERE b.book_id = pay_debts.book_id AND b.slot = 0 AND b.account_id = due.account_id;
		CONTINUE WHEN spare <= 0;
		PERFORM risk.repay_debt(pay_debts.book_id, due.debt_id, least(due.outstanding, spare));
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.pay_debts(int, bigint[]) IS
	'Pays the debts of these accounts, the oldest first, out of what they have above their floors. Called by posting.';

CREATE FUNCTION risk.plan_instalments(debt_id bigint, instalments int, first_due timestamptz, every interval, book_id int DEFAULT 1)
RETURNS TABLE (instalment int, due_at timestamptz, amount numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
	debt record;
	unit numeric;
	each numeric;
BEGIN
	IF (instalments BETWEEN 1 AND 1000 AND first_due IS NOT NULL AND every > interval '0') IS NOT TRUE THEN
		RAISE EXCEPTION 'debt % of book % cannot be paid in such instalments', debt_id, book_id
			USING ERRCODE = '22023', DETAIL = format('Asked for were %s, the first at %s, every %s.', coalesce(instalments::text, 'NULL'),
													 coalesce(first_due::text, 'NULL'), coalesce(every::text, 'NULL')),
				  HINT = 'There are 1 to 1000, each some time after the one before.';
	END IF;
	SELECT * INTO debt FROM risk.lock_debt(plan_instalments.book_id, plan_instalments.debt_id);
	IF EXISTS (SELECT FROM ledger.instalment i WHERE i.book_id = plan_instalments.book_id AND i.debt_id = plan_instalments.debt_id) THEN
		RAISE EXCEPTION 'debt % of book % has instalments already', debt_id, book_id
			USING ERRCODE = '55000', HINT = 'See ledger.instalment. What cannot be paid can be waived.';
	END IF;
	-- equal parts, and a unit more for the first ones while the rest lasts
	unit := ('1e-' || debt.scale)::numeric;
	each := trunc(debt.outstanding / instalments, debt.scale);
	IF each = 0 THEN
		RAISE EXCEPTION 'debt % of book % cannot be paid in % instalments', debt_id, book_id, instalments
			USING ERRCODE = '22023', DETAIL = format('Outstanding are %s %s.', debt.outstanding, debt.asset_code), HINT = 'Agree on fewer.';
	END IF;
	INSERT INTO ledger.instalment (book_id, debt_id, instalment, due_at, amount)
	SELECT plan_instalments.book_id, plan_instalments.debt_id, n, first_due + (n - 1) * every,
		   each + CASE WHEN n <= (debt.outstanding - each * instalments) / unit THEN unit ELSE 0 END
	  FROM generate_series(1, instalments) n;
	PERFORM risk.review_debt(plan_instalments.book_id, plan_instalments.debt_id);
	RETURN QUERY
	SELECT i.instalment, i.due_at, i.amount FROM ledger.instalment i
	 WHERE i.book_id = plan_instalments.book_id AND i.debt_id = plan_instalments.debt_id ORDER BY i.instalment;
END
$function$;
COMMENT ON FUNCTION risk.plan_instalments(bigint, int, timestamptz, interval, int) IS
	'Agrees on instalments for what is outstanding of a debt, and lifts its freeze while those that are due are paid. Equal parts in whole units of the asset, the first ones a unit more, so that they sum to the debt exactly. Errors: 23503 for an unknown debt, 55000 for one that is settled or has instalments already, 22023 for a plan that cannot be.';

CREATE FUNCTION risk.accrue_penalties(at timestamptz DEFAULT NULL)
RETURNS TABLE (book_id int, debt_id bigint, instalment int, days int, penalty numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
	moment timestamptz := least(at, clock_timestamp());
	late record;
	debt record;
	rest numeric;
	days_now int;
	added numeric;
BEGIN
	FOR late IN
		SELECT i.book_id, i.debt_id, i.instalment, i.due_at, p.penalty_rate, p.penalty_grace
		  FROM ledger.instalment i
		  JOIN ledger.debt d ON d.book_id = i.book_id AND d.debt_id = i.debt_id AND d.settled_at IS NULL
		  JOIN ledger.policy p ON p.policy_code = d.policy_code AND p.version = d.policy_version
		 WHERE i.due_at <= moment AND i.paid < i.amount
		 ORDER BY d.book_id, d.account_id, i.debt_id, i.instalment
	LOOP
		SELECT * INTO debt FROM risk.lock_debt(late.book_id, late.debt_id);
		SELECT i.amount - i.paid INTO rest FROM ledger.instalment i
		 WHERE i.book_id = late.book_id AND i.debt_id = late.debt_id AND i.instalment = late.instalment;
		CONTINUE WHEN rest = 0;
		INSERT INTO ledger.event (book_id, account_id, kind, payload)
		SELECT i.book_id, debt.account_id, 'instalment_due',
			   jsonb_build_object('debt_id', i.debt_id, 'instalment', i.instalment, 'due_at', i.due_at, 'amount', rest, 'asset_code', debt.asset_code,
								  'steps', jsonb_build_array(format('Deposit %s %s.', rest, debt.asset_code)))
		  FROM ledger.instalment i
		 WHERE i.book_id = late.book_id AND i.debt_id = late.debt_id AND i.instalment = late.instalment AND i.told_at IS NULL;
		UPDATE ledger.instalment i SET told_at = coalesce(i.told_at, clock_timestamp())
		 WHERE i.book_id = late.book_id AND i.debt_id = late.debt_id AND i.instalment = late.instalment;

		-- days begun since the grace ended
		days_now := greatest(ceil(extract(epoch FROM moment - (late.due_at + late.penalty_grace)) / 86400), 0);
		UPDATE ledger.instalment i SET penalised_days = days_now
		  FROM ledger.instalment o
		 WHERE i.book_id = late.book_id AND i.debt_id = late.debt_id AND i.instalment = late.instalment
		   AND (o.book_id, o.debt_id, o.instalment) = (i.book_id, i.debt_id, i.instalment) AND o.penalised_days < days_now
		RETURNING days_now - o.penalised_days INTO days;
		added := trunc(rest * late.penalty_rate, debt.scale) * days;
		IF added > 0 THEN
			UPDATE ledger.debt d SET penalty = d.penalty + added
			 WHERE d.book_id = late.book_id AND d.debt_id = late.debt_id;
			book_id := late.book_id;
			debt_id := late.debt_id;
			instalment := late.instalment;
			penalty := added;
			RETURN NEXT;
		END IF;
		PERFORM risk.review_debt(late.book_id, late.debt_id);
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.accrue_penalties(timestamptz) IS
	'Sends notice of instalments that have become due and are not paid, freezes who owes them, and adds the penalty of their policy for each day begun since its grace ended that has none yet: what is unpaid * penalty_rate, rounded down to the scale of the asset. Up to that time, now at the latest (NULL: now). Returns what it added. May be repeated; for a scheduler, and run by the worker.';

CREATE FUNCTION risk.waive(debt_id bigint, amount numeric, reason text, book_id int DEFAULT 1) RETURNS numeric
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	debt record;
	receivable numeric;
	excess numeric;
	journal bigint;
BEGIN
	SELECT * INTO debt FROM risk.lock_debt(waive.book_id, waive.debt_id);
	IF amount > 0 IS NOT TRUE OR amount > debt.outstanding OR scale(trim_scale(amount)) > debt.scale THEN
		RAISE EXCEPTION 'debt % of book %: % cannot be waived', debt_id, book_id, coalesce(amount::text, 'NULL')
			USING ERRCODE = '22023', DETAIL = format('Outstanding are %s %s.', debt.outstanding, debt.asset_code),
				  HINT = format('An amount is above zero, at most what is outstanding, and has at most %s digits after the point.', debt.scale);
	END IF;
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'debt % of book % is not waived without a reason', debt_id, book_id
			USING ERRCODE = '22023', HINT = 'Say why.';
	END IF;

	-- the receivable never stands for more than is still owed
	SELECT coalesce(sum(r.amount), 0)
		   - coalesce((SELECT sum(y.amount) FROM ledger.repayment y
						WHERE y.book_id = waive.book_id AND y.debt_id = waive.debt_id AND y.stage = 'receivable'), 0)
		   - coalesce((SELECT sum(j.amounts[2]) FROM ledger.waiver w
						 JOIN ledger.journal j ON j.book_id = w.book_id AND j.journal_id = w.journal_id
						WHERE w.book_id = waive.book_id AND w.debt_id = waive.debt_id), 0)
	  INTO receivable
	  FROM ledger.debt d
	  JOIN ledger.reset r ON r.book_id = d.book_id AND r.shortfall_id = d.shortfall_id AND r.stage = 'receivable'
	 WHERE d.book_id = waive.book_id AND d.debt_id = waive.debt_id;
	excess := receivable - (debt.outstanding - waive.amount);
	IF excess > 0 THEN
		INSERT INTO ledger.journal (book_id, accounts, amounts, kind, metadata)
		VALUES (waive.book_id, ARRAY[risk.system_account(waive.book_id, 'house', debt.asset_code),
									 risk.system_account(waive.book_id, 'receivable', debt.asset_code)],
				ARRAY[-excess, excess], 'waiver', jsonb_build_object('debt_id', waive.debt_id))
		RETURNING journal_id INTO journal;
	END IF;
	INSERT INTO ledger.waiver (book_id, debt_id, journal_id, amount, reason)
	VALUES (waive.book_id, waive.debt_id, journal, waive.amount, waive.reason);
	UPDATE ledger.debt d
	   SET waived = d.waived + waive.amount,
		   settled_at = CASE WHEN d.repaid + d.waived + waive.amount = d.principal + d.penalty THEN clock_timestamp() END
	 WHERE d.book_id = waive.book_id AND d.debt_id = waive.debt_id;
	PERFORM risk.credit_instalments(waive.book_id, waive.debt_id, waive.amount);
	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	VALUES (waive.book_id, debt.account_id, 'waiver',
			jsonb_build_object('debt_id', waive.debt_id, 'amount', waive.amount, 'reason', waive.reason, 'who', session_user,
							   'outstanding', debt.outstanding - waive.amount));
	PERFORM risk.review_debt(waive.book_id, waive.debt_id);
	RETURN debt.outstanding - waive.amount;
END
$function$;
COMMENT ON FUNCTION risk.waive(bigint, numeric, text, int) IS
	'Waives a part of a debt, or all of it, and returns what is outstanding then. What stood on the receivable beyond that becomes the house''s; who else paid keeps having paid. Errors: 23503 for an unknown debt, 55000 for one that is settled, 22023 for more than is outstanding, or without a reason.';

CREATE FUNCTION risk.create_recourse_views() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE OR REPLACE VIEW ledger.open_debt WITH (security_invoker = true) AS
	SELECT d.book_id, d.debt_id, d.account_id, d.owner_id, d.asset_code, d.posted_at,
		   d.principal + d.penalty - d.repaid - d.waived AS outstanding,
		   least(CASE WHEN i.instalments > 0 THEN i.due + d.penalty ELSE d.principal + d.penalty - d.repaid - d.waived END,
				 d.principal + d.penalty - d.repaid - d.waived) AS overdue,
		   i.next_due_at
	  FROM ledger.debt d
	 CROSS JOIN LATERAL (
		SELECT count(*) AS instalments,
			   coalesce(sum(n.amount - n.paid) FILTER (WHERE n.due_at <= clock_timestamp()), 0) AS due,
			   min(n.due_at) FILTER (WHERE n.paid < n.amount) AS next_due_at
		  FROM ledger.instalment n
		 WHERE n.book_id = d.book_id AND n.debt_id = d.debt_id) i
	 WHERE d.settled_at IS NULL;
	COMMENT ON VIEW ledger.open_debt IS
		'The debts that are not settled.';
	COMMENT ON COLUMN ledger.open_debt.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.open_debt.debt_id IS 'The debt.';
	COMMENT ON COLUMN ledger.open_debt.account_id IS 'Who owes.';
	COMMENT ON COLUMN ledger.open_debt.owner_id IS 'Whose account it is.';
	COMMENT ON COLUMN ledger.open_debt.asset_code IS 'The asset.';
	COMMENT ON COLUMN ledger.open_debt.posted_at IS 'When it was made.';
	COMMENT ON COLUMN ledger.open_debt.outstanding IS 'principal + penalty - repaid - waived.';
	COMMENT ON COLUMN ledger.open_debt.overdue IS 'What should have been paid by now: all of it, or the instalments that are due, and penalties.';
	COMMENT ON COLUMN ledger.open_debt.next_due_at IS 'When the first instalment is due that is not paid; NULL: there is none.';

	CREATE OR REPLACE VIEW ledger.negative_balance_report WITH (security_invoker = true) AS
	SELECT t.book_id, t.month, t.leveraged_trades, coalesce(s.events, 0) AS negative_balances,
		   round(100.0 * coalesce(s.events, 0) / t.leveraged_trades, 4) AS share_percent
	  FROM (SELECT t.book_id, date_trunc('month', t.period)::date AS month, count(*) AS leveraged_trades
			  FROM ledger.trade t
			 WHERE t.kind IN ('trade', 'liquidation') AND t.account_id > 0
			 GROUP BY 1, 2) t
	  LEFT JOIN (SELECT s.book_id, date_trunc('month', s.period)::date AS month, count(*) AS events
				   FROM ledger.shortfall s
				  WHERE s.amount > s.operational
				  GROUP BY 1, 2) s ON s.book_id = t.book_id AND s.month = t.month;
	COMMENT ON VIEW ledger.negative_balance_report IS
		'How often the market left a balance below zero that its owner could not cover, against the trades of traders, by month.';
	COMMENT ON COLUMN ledger.negative_balance_report.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.negative_balance_report.month IS 'The first day of the month, in UTC.';
	COMMENT ON COLUMN ledger.negative_balance_report.leveraged_trades IS 'Trades of kind trade and liquidation on accounts of traders, each side for itself; what was taken over, deleveraged, settled or busted is not counted.';
	COMMENT ON COLUMN ledger.negative_balance_report.negative_balances IS 'Shortfalls that the market made, at least in part.';
	COMMENT ON COLUMN ledger.negative_balance_report.share_percent IS 'negative_balances / leveraged_trades in percent, rounded to 4 digits.';
END
$function$;
COMMENT ON FUNCTION risk.create_recourse_views() IS
	'Makes or replaces the views of debts and negative balances. A part of risk.create_views().';

REVOKE ALL ON FUNCTION
	risk.create_recourse_tables(), risk.claim_debts(int, bigint[]), risk.lock_debt(int, bigint),
	risk.credit_instalments(int, bigint, numeric), risk.review_debt(int, bigint), risk.repay_debt(int, bigint, numeric),
	risk.payers_to_return(int, bigint, numeric), risk.credit_debt(int, bigint, numeric),
	risk.return_to_payers(int, bigint, bigint, numeric, bigint, bigint, text),
	risk.repay(bigint, numeric, int), risk.pay_debts(int, bigint[]), risk.plan_instalments(bigint, int, timestamptz, interval, int),
	risk.accrue_penalties(timestamptz), risk.waive(bigint, numeric, text, int), risk.create_recourse_views()
FROM PUBLIC;
