-- The slots of system accounts, folded: the same money, in fewer places.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(302, 'slots');
INSERT INTO ledger.account (book_id, account_id, asset_code) VALUES (302, 1, 'USDT'), (302, 2, 'BTC');
SELECT risk.system_account(302, 'external', 'USDT') AS external, risk.system_account(302, 'insurance_fund', 'USDT') AS fund \gset
CREATE TEMP VIEW slots AS
SELECT a.kind, a.asset_code, sum(b.amount) FILTER (WHERE b.slot = 0) AS slot_0, sum(b.amount) FILTER (WHERE b.slot > 0) AS other_slots,
	   count(*) FILTER (WHERE b.slot > 0 AND b.amount <> 0) AS filled, sum(b.amount) AS total
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 302 AND a.account_id < 0
 GROUP BY a.account_id, a.kind, a.asset_code HAVING count(*) > 1 ORDER BY a.kind, a.asset_code;

-- takes from the fund, and says why not
CREATE FUNCTION pg_temp.drain(amount numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
	VALUES (302, risk.system_account(302, 'insurance_fund', 'USDT'), risk.system_account(302, 'house', 'USDT'), amount);
	RETURN 'done';
EXCEPTION WHEN check_violation THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END
$$;

-- 1. What comes in goes to slots above 0; what the fund pays comes out of slot
-- 0, which may be below the floor while the sum is not

SELECT risk.deposit(1, 100, 302) > 0 AS deposited, risk.deposit(2, 0.00000001, 302) > 0 AS deposited,
	   risk.deposit(:fund, 50, 302) > 0 AS deposited;
SELECT pg_temp.drain(20);
SELECT * FROM slots;
SELECT clock_timestamp() AS before \gset
SELECT risk.fold_slots(302);
SELECT clock_timestamp() AS after \gset
SELECT * FROM slots;
-- each fold is a pair of entries that add up to zero
SELECT a.kind, a.asset_code, e.slot > 0 AS other_slot, e.seq, e.amount, e.balance_after, e.cause
  FROM ledger.entry e JOIN ledger.account a USING (book_id, account_id)
 WHERE e.book_id = 302 AND e.kind = 'fold' ORDER BY a.kind, a.asset_code, e.slot;
-- nothing is left to fold; empty slots are used again
SELECT risk.fold_slots(302);
SELECT count(*) AS rows_before FROM ledger.balance WHERE book_id = 302 \gset
SELECT risk.deposit(1, 1, 302) > 0 AS deposited;
SELECT count(*) - :rows_before AS new_rows FROM ledger.balance WHERE book_id = 302;
SELECT risk.fold_slots(302);

-- the account as a whole did not change at any time
SELECT risk.balance_at(:fund, :'before', 302) AS before, risk.balance_at(:fund, posted_at, 302) AS at,
	   risk.balance_at(:fund, posted_at + interval '1 microsecond', 302) AS after
  FROM ledger.entry WHERE book_id = 302 AND account_id = :fund AND slot = 0 AND kind = 'fold';
SELECT line, kind, amount, balance FROM risk.statement(:fund, '-infinity', 'infinity', 302);
SELECT count(*) AS lines FROM risk.statement(:fund, :'before', :'after', 302);

-- 2. The fund gives what is in it, wherever that is, and no more

SELECT risk.deposit(:fund, 10, 302) > 0 AS deposited;
SELECT pg_temp.drain(40.01);
SELECT pg_temp.drain(40);
SELECT * FROM slots WHERE kind = 'insurance_fund';
SELECT risk.fold_slots(302);
SELECT * FROM slots WHERE kind = 'insurance_fund';
SELECT pg_temp.drain(0.01);

-- 3. At every level, after postings of the same transaction, and rolled back

CREATE PROCEDURE pg_temp.deposit_and_fold() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM risk.deposit(1, 7, 302), risk.withdraw(1, 2, 302);
	RAISE NOTICE '% slots at %', risk.fold_slots(302), current_setting('transaction_isolation');
END
$$;
CALL pg_temp.deposit_and_fold();
BEGIN ISOLATION LEVEL REPEATABLE READ; CALL pg_temp.deposit_and_fold(); COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE; CALL pg_temp.deposit_and_fold(); COMMIT;
BEGIN; CALL pg_temp.deposit_and_fold(); ROLLBACK;
SELECT * FROM slots WHERE kind = 'external' AND asset_code = 'USDT';
-- a slot whose time is ahead of the clock: both entries of the fold have that time
SELECT risk.deposit(1, 1, 302) > 0 AS deposited;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE ledger.balance SET posted_at = '2100-01-01' WHERE book_id = 302 AND account_id = :external AND amount <> 0 AND slot > 0;
COMMIT;
SELECT risk.fold_slots(302);
SELECT slot > 0 AS other_slot, posted_at, amount FROM ledger.entry
 WHERE book_id = 302 AND account_id = :external AND posted_at > :'after'::timestamptz + interval '1 day' ORDER BY slot;

-- 4. Every book, or one; not for everybody

SELECT risk.deposit(1, 1, 302) > 0 AS deposited;
SELECT risk.fold_slots() > 0 AS folded;
SELECT count(*) AS filled FROM ledger.balance WHERE slot > 0 AND amount <> 0;
SELECT risk.fold_slots(3020);
CREATE ROLE regress_risk_folder;
SET SESSION AUTHORIZATION regress_risk_folder;
SELECT risk.fold_slots();
RESET SESSION AUTHORIZATION;
DROP ROLE regress_risk_folder;

SELECT * FROM risk.verify() WHERE violations > 0;
