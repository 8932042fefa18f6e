-- Evidence: seals over the entries, and what they give away.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(97, 'sealed'), risk.create_book(970, 'empty');
INSERT INTO ledger.account (book_id, account_id, asset_code)
VALUES (97, 1, 'USDT'), (97, 2, 'USDT'), (97, 3, 'USDT');

-- 1. What a digest is: SHA-256 of what COPY BINARY writes

CREATE FUNCTION pg_temp.field(value bytea) RETURNS bytea LANGUAGE sql AS
	$$SELECT coalesce(int4send(length(value)) || value, int4send(-1))$$;
SELECT risk.rows_digest(a, b, c, d, e, f, g) =
	sha256(string_agg(int2send(7::smallint) || pg_temp.field(int4send(a)) || pg_temp.field(int8send(b)) || pg_temp.field(numeric_send(c))
					  || pg_temp.field(convert_to(d, 'UTF8')) || pg_temp.field(e) || pg_temp.field(date_send(f))
					  || pg_temp.field(timestamptz_send(g)), '' ORDER BY n)) AS same
  FROM (VALUES (1, 1, 2::bigint, 1.50, 'text', '\xff00'::bytea, '2024-02-29'::date, '2024-02-29 12:00'::timestamptz),
			   (2, -1, NULL, '-1e30', 'größer', '', '0044-03-15 BC', '-infinity'),
			   (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) AS v(n, a, b, c, d, e, f, g);
-- NULL is not empty, a boundary is not lost, 1.0 is not 1.00, the order counts
SELECT risk.rows_digest(NULL::text) <> risk.rows_digest(''::text) AS null_is_not_empty,
	   risk.rows_digest('ab'::text, 'c'::text) <> risk.rows_digest('a'::text, 'bc'::text) AS boundary,
	   risk.rows_digest(1.0) <> risk.rows_digest(1.00) AS digits,
	   (SELECT risk.rows_digest(n ORDER BY n) <> risk.rows_digest(n ORDER BY n DESC) FROM generate_series(1, 2) n) AS order_counts,
	   (SELECT risk.rows_digest(n) IS NULL FROM generate_series(1, 0) n) AS nothing;
-- a mark for each row, that of the row alone
SELECT risk.rows_marks(n ORDER BY n) = (SELECT string_agg(m, '' ORDER BY o) FROM (SELECT o, risk.rows_marks(o) AS m FROM generate_series(1, 3) o GROUP BY o) x) AS marks,
	   length(risk.rows_marks(n)) AS bytes FROM generate_series(1, 3) n;
-- columns, not an array of them
SELECT risk.rows_digest(VARIADIC '{1,2}'::int[]);
SELECT risk.rows_digest(1::real);
SELECT risk.rows_digest(DISTINCT n) = risk.rows_digest(n) AS same FROM generate_series(1, 3) n;
-- groups that are begun and not finished
SELECT count(*) FROM (SELECT g % 10, risk.rows_digest(g) FROM generate_series(1, 1000) g GROUP BY 1 LIMIT 3) x;
SELECT count(DISTINCT d) FROM (SELECT risk.rows_digest(g) AS d FROM generate_series(1, 1000) g GROUP BY g % 10) x;

-- 2. Sealing

SELECT * FROM risk.seal(97);
SELECT risk.deposit(1, 100, 97) > 0 AS deposited, risk.deposit(2, 100, 97) > 0 AS deposited;
SELECT seal_id, entries, total_entries, length(head) FROM risk.seal(97);
SELECT head AS head_1 FROM risk.seal(97) \gset
-- nothing new, nothing sealed
SELECT seal_id, entries, total_entries, head = :'head_1' AS same_head FROM risk.seal(97);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, effective_at)
SELECT 97, 1, 2, n, '2024-01-01' FROM generate_series(1, 5) n;
SELECT risk.deposit(3, 7, 97) > 0 AS deposited;
SELECT seal_id, entries, total_entries, head <> :'head_1' AS another_head FROM risk.seal(97);
SELECT head AS head_2 FROM risk.seal(97) \gset
SELECT seal_id, account_id, from_seq, to_seq, length(digest) AS digest, length(marks) AS marks
  FROM ledger.seal_range WHERE book_id = 97 AND account_id > 0 ORDER BY seal_id, slot, account_id;
-- the heads, by the functions of PostgreSQL alone
CREATE TEMP VIEW range_digest AS
SELECT r.seal_id, r.slot, r.account_id, r.from_seq, r.to_seq, r.marks,
	   sha256(string_agg(int2send(11::smallint) || pg_temp.field(int4send(e.book_id)) || pg_temp.field(int4send(e.slot))
						 || pg_temp.field(int8send(e.account_id)) || pg_temp.field(int8send(e.seq))
						 || pg_temp.field(timestamptz_send(e.posted_at)) || pg_temp.field(timestamptz_send(e.effective_at))
						 || pg_temp.field(int8send(e.cause)) || pg_temp.field(date_send(e.period))
						 || pg_temp.field(numeric_send(e.amount)) || pg_temp.field(numeric_send(e.balance_after))
						 || pg_temp.field(e.kind::bytea), '' ORDER BY e.seq)) AS digest
  FROM ledger.seal_range r JOIN ledger.entry e ON e.book_id = r.book_id AND e.slot = r.slot AND e.account_id = r.account_id
												AND e.seq BETWEEN r.from_seq AND r.to_seq
 WHERE r.book_id = 97
 GROUP BY r.seal_id, r.slot, r.account_id, r.from_seq, r.to_seq, r.marks;
SELECT s.seal_id, s.head = sha256(int2send(11::smallint) || pg_temp.field(lag(s.head) OVER (ORDER BY s.seal_id)) || pg_temp.field(int4send(s.book_id))
								  || pg_temp.field(int8send(s.seal_id)) || pg_temp.field(timestamptz_send(s.sealed_at))
								  || pg_temp.field(int8send(s.entries)) || pg_temp.field(int8send(s.total_entries))
								  || pg_temp.field(int8send(s.ranges)) || pg_temp.field(s.transaction_id::text::bytea)
								  || pg_temp.field(s.open_since::text::bytea) || pg_temp.field(s.who::bytea) || pg_temp.field(r.digest)) AS head
  FROM ledger.seal s
  JOIN LATERAL (SELECT sha256(string_agg(int2send(6::smallint) || pg_temp.field(int4send(d.slot)) || pg_temp.field(int8send(d.account_id))
										 || pg_temp.field(int8send(d.from_seq)) || pg_temp.field(int8send(d.to_seq))
										 || pg_temp.field(d.digest) || pg_temp.field(d.marks), '' ORDER BY d.slot, d.account_id)) AS digest
				  FROM range_digest d WHERE d.seal_id = s.seal_id) r ON true
 WHERE s.book_id = 97 ORDER BY s.seal_id;
-- an event tells it to whoever listens
SELECT payload ->> 'seal_id' AS seal_id, payload ->> 'total_entries' AS total_entries, payload ->> 'head' = :'head_2' AS head
  FROM ledger.event WHERE book_id = 97 AND kind = 'seal' ORDER BY event_id DESC LIMIT 1;
SELECT * FROM risk.verify(97) WHERE check_name LIKE 'seal%';
SELECT risk.seal(99);
SELECT risk.seal(NULL);

-- 3. Append-only, for everybody and in every role

UPDATE ledger.seal SET entries = 0;
DELETE FROM ledger.seal_range;
SET session_replication_role = replica;
TRUNCATE ledger.seal;
RESET session_replication_role;

-- 4. A superuser, with the triggers switched off: each is named

CREATE FUNCTION pg_temp.found(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE (SELECT string_agg(format('ALTER TABLE %s DISABLE TRIGGER ALL', oid::regclass), ';') FROM pg_class
			  WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r');
	EXECUTE statement;
	SELECT string_agg(format('%s: %s', v.check_name, v.first_offender), E'\n') INTO answer
	  FROM risk.verify(97) v WHERE v.check_name IN ('seals', 'sealed_entries') AND v.violations > 0;
	RAISE SQLSTATE 'Z0001' USING MESSAGE = regexp_replace(regexp_replace(coalesce(answer, 'nothing'), '[0-9a-f]{64}', '...', 'g'),
														   '20\d\d-\S+ \S+', '<time>', 'g');
EXCEPTION WHEN SQLSTATE 'Z0001' THEN
	RETURN SQLERRM;
END
$$;
\t on
\a
-- edited, in each of its columns
SELECT format('%s: %s', a.attname, pg_temp.found(format('UPDATE ledger.entry SET %I = %s WHERE book_id = 97 AND account_id = 1 AND seq = 3', a.attname,
	CASE a.atttypid::regtype::text WHEN 'text' THEN format('%I || ''!''', a.attname) WHEN 'numeric' THEN format('%I + 0.00001', a.attname)
		WHEN 'timestamp with time zone' THEN format('%I + interval ''1 microsecond''', a.attname) ELSE format('%I + 90', a.attname) END)))
  FROM pg_attribute a WHERE a.attrelid = 'ledger.entry'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT pg_temp.found('UPDATE ledger.entry SET amount = trim_scale(amount) WHERE book_id = 97 AND account_id = 2 AND seq = 2');
-- deleted, in the middle; with what is behind it moved up; the tail cut
SELECT pg_temp.found('DELETE FROM ledger.entry WHERE book_id = 97 AND account_id = 2 AND seq = 3');
SELECT pg_temp.found('DELETE FROM ledger.entry WHERE book_id = 97 AND account_id = 2 AND seq = 3;
	UPDATE ledger.entry SET seq = seq - 1 WHERE book_id = 97 AND account_id = 2 AND seq > 3;
	UPDATE ledger.balance SET seq = seq - 1 WHERE book_id = 97 AND account_id = 2');
SELECT pg_temp.found('DELETE FROM ledger.entry WHERE book_id = 97 AND account_id = 2 AND seq = 6;
	UPDATE ledger.balance SET seq = seq - 1 WHERE book_id = 97 AND account_id = 2');
SELECT pg_temp.found('DELETE FROM ledger.entry WHERE book_id = 97');
-- two of the same account in another order; one given to another account
SELECT pg_temp.found('UPDATE ledger.entry SET seq = 100 WHERE book_id = 97 AND account_id = 2 AND seq = 4;
	UPDATE ledger.entry SET seq = 4 WHERE book_id = 97 AND account_id = 2 AND seq = 5;
	UPDATE ledger.entry SET seq = 5 WHERE book_id = 97 AND account_id = 2 AND seq = 100');
SELECT pg_temp.found('UPDATE ledger.entry SET account_id = 3, seq = 2 WHERE book_id = 97 AND account_id = 2 AND seq = 6');
-- put in afterwards: beside another, before the first
SELECT pg_temp.found('INSERT INTO ledger.entry SELECT book_id, slot, account_id, seq, posted_at, effective_at, cause, period - 1, amount, balance_after, kind
	FROM ledger.entry WHERE book_id = 97 AND account_id = 2 AND seq = 4');
SELECT pg_temp.found('INSERT INTO ledger.entry SELECT book_id, slot, account_id, -5, posted_at, effective_at, cause, period, amount, balance_after, kind
	FROM ledger.entry WHERE book_id = 97 AND account_id = 2 AND seq = 4');
-- an edit that even its mark does not show
SELECT pg_temp.found('UPDATE ledger.entry SET cause = cause + 1 WHERE book_id = 97 AND account_id = 1 AND seq = 3;
	UPDATE ledger.seal_range r SET marks = (SELECT risk.rows_marks(e.book_id, e.slot, e.account_id, e.seq, e.posted_at, e.effective_at, e.cause, e.period, e.amount, e.balance_after, e.kind ORDER BY e.seq)
		FROM ledger.entry e WHERE e.book_id = 97 AND e.slot = 0 AND e.account_id = 1 AND e.seq BETWEEN r.from_seq AND r.to_seq)
	 WHERE r.book_id = 97 AND r.account_id = 1 AND r.seal_id = 2');
-- the seals themselves: each column edited, one taken out, the last one cut, with more and more of its traces
SELECT format('%s: %s', a.attname, pg_temp.found(format('UPDATE ledger.seal SET %I = %s WHERE book_id = 97 AND seal_id = 1', a.attname,
	CASE a.atttypid::regtype::text WHEN 'text' THEN format('%I || ''!''', a.attname) WHEN 'bytea' THEN format('sha256(%I)', a.attname)
		WHEN 'timestamp with time zone' THEN format('%I - interval ''1 microsecond''', a.attname) WHEN 'xid8' THEN '''1''' ELSE format('%I + 90', a.attname) END)))
  FROM pg_attribute a WHERE a.attrelid = 'ledger.seal'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT format('%s: %s', a.attname, pg_temp.found(format('UPDATE ledger.seal_range SET %I = %s WHERE book_id = 97 AND account_id = 1 AND seal_id = 2', a.attname,
	CASE a.atttypid::regtype::text WHEN 'bytea' THEN format('sha256(%I)', a.attname) ELSE format('%I + 90', a.attname) END)))
  FROM pg_attribute a WHERE a.attrelid = 'ledger.seal_range'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SELECT pg_temp.found('DELETE FROM ledger.seal WHERE book_id = 97 AND seal_id = 1');
SELECT pg_temp.found('DELETE FROM ledger.seal WHERE book_id = 97 AND seal_id = 2');
SELECT pg_temp.found('DELETE FROM ledger.seal WHERE book_id = 97 AND seal_id = 2; DELETE FROM ledger.event WHERE book_id = 97 AND kind = ''seal'' AND payload ->> ''seal_id'' = ''2''');
SELECT pg_temp.found('DELETE FROM ledger.seal WHERE book_id = 97 AND seal_id = 2; DELETE FROM ledger.seal_range WHERE book_id = 97 AND seal_id = 2');
SELECT pg_temp.found('DELETE FROM ledger.seal_range WHERE book_id = 97 AND seal_id = 2 AND account_id = 3');
SELECT pg_temp.found('DELETE FROM ledger.event WHERE book_id = 97 AND kind = ''seal'' AND payload ->> ''seal_id'' = ''1''');
-- rows that are out of all bounds
SELECT pg_temp.found('UPDATE ledger.seal_range SET to_seq = 9223372036854775807 WHERE book_id = 97 AND account_id = 1 AND seal_id = 2');
SELECT pg_temp.found('UPDATE ledger.seal_range SET from_seq = 9223372036854775807, marks = '''' WHERE book_id = 97 AND account_id = 1 AND seal_id = 2');
SELECT pg_temp.found('UPDATE ledger.seal SET entries = 9223372036854775807, total_entries = -9223372036854775808 WHERE book_id = 97');
SELECT pg_temp.found('UPDATE ledger.event SET payload = ''{"seal_id": "two"}'' WHERE book_id = 97 AND kind = ''seal'' AND payload ->> ''seal_id'' = ''2''');
-- all of its traces: what is left is a chain of one seal, and only a head that was noted tells
SELECT pg_temp.found('DELETE FROM ledger.seal WHERE book_id = 97 AND seal_id = 2; DELETE FROM ledger.seal_range WHERE book_id = 97 AND seal_id = 2;
	DELETE FROM ledger.event WHERE book_id = 97 AND kind = ''seal'' AND payload ->> ''seal_id'' = ''2''');
\t off
\a

-- 5. A head that was noted

SELECT * FROM risk.verify_seal(97, :'head_2');
SELECT * FROM risk.verify_seal(97, upper(:'head_1'));
-- everything rewritten, and sealed again
BEGIN;
SET LOCAL session_replication_role = replica;
ALTER TABLE ledger.entry DISABLE TRIGGER keep_rows;
ALTER TABLE ledger.seal DISABLE TRIGGER keep_rows;
ALTER TABLE ledger.seal_range DISABLE TRIGGER keep_rows;
ALTER TABLE ledger.event DISABLE TRIGGER keep_rows;
UPDATE ledger.entry SET effective_at = '2023-12-31' WHERE book_id = 97 AND effective_at = '2024-01-01';
DELETE FROM ledger.seal WHERE book_id = 97;
DELETE FROM ledger.seal_range WHERE book_id = 97;
DELETE FROM ledger.event WHERE book_id = 97 AND kind = 'seal';
SELECT seal_id, total_entries FROM risk.seal(97);
SELECT * FROM risk.verify(97) WHERE violations > 0 AND check_name <> 'guards';
SELECT check_name, violations, regexp_replace(first_offender, '[0-9a-f]{64}', '...') AS first_offender FROM risk.verify_seal(97, :'head_2');
ROLLBACK;
-- what comes later does not change what a head stands for
SELECT risk.deposit(1, 5, 97) > 0 AS deposited;
SELECT seal_id, entries, total_entries FROM risk.seal(97);
SELECT * FROM risk.verify_seal(97, :'head_2');
SELECT * FROM risk.verify_seal(970, :'head_2');
SELECT violations FROM risk.verify_seal(97, 'nonsense') LIMIT 1;
SELECT violations FROM risk.verify_seal(97, NULL) LIMIT 1;

-- 6. Nothing is left out: accounts that come and go between seals, transactions
-- with savepoints, a seal within them

INSERT INTO ledger.account (book_id, account_id, asset_code) SELECT 97, n, 'USDT' FROM generate_series(10, 29) n;
DO $$
BEGIN
	FOR n IN 1..20 LOOP
		BEGIN
			PERFORM risk.deposit(9 + n, n, 97);
			PERFORM risk.deposit(10 + n % 7, 1, 97);
			IF n % 3 = 0 THEN
				RAISE division_by_zero;
			END IF;
			PERFORM risk.seal(97);
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
		IF n % 5 = 0 THEN
			PERFORM risk.seal(97);
		END IF;
	END LOOP;
END
$$;
SELECT total_entries = (SELECT count(*) FROM ledger.entry WHERE book_id = 97) AS all_sealed, total_entries FROM risk.seal(97);
SELECT risk.deposit(12, 1, 97) > 0 AS deposited;
SELECT entries FROM risk.seal(97);
SELECT total_entries = (SELECT count(*) FROM ledger.entry WHERE book_id = 97) AS all_sealed, total_entries FROM risk.seal(97);

-- 7. What is not whole is not sealed

BEGIN;
SELECT risk.deposit(1, 5, 97) > 0 AS deposited, risk.deposit(1, 5, 97) > 0 AS deposited;
ALTER TABLE ledger.entry DISABLE TRIGGER ALL;
DELETE FROM ledger.entry WHERE book_id = 97 AND account_id = 1 AND balance_after = 95;
SELECT risk.seal(97);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;

-- 8. Who may

CREATE ROLE regress_risk_sealer;
SET ROLE regress_risk_sealer;
SELECT risk.seal(97);
RESET ROLE;
GRANT EXECUTE ON FUNCTION risk.seal(int) TO regress_risk_sealer;
SELECT risk.deposit(1, 5, 97) > 0 AS deposited;
SET SESSION AUTHORIZATION regress_risk_sealer;
SELECT seal_id, entries FROM risk.seal(97);
RESET SESSION AUTHORIZATION;
SELECT who FROM ledger.seal WHERE book_id = 97 ORDER BY seal_id DESC LIMIT 1;
DROP OWNED BY regress_risk_sealer;
DROP ROLE regress_risk_sealer;
SELECT * FROM risk.verify() WHERE violations > 0;
