-- risk.lock_if_free(): what it takes for a row, and whom it refuses.
\set SHOW_CONTEXT never
CREATE TABLE seat (id int PRIMARY KEY);
CREATE TABLE seats (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE seats_1 PARTITION OF seats DEFAULT;
CREATE VIEW seat_view AS SELECT * FROM seat;
INSERT INTO seat VALUES (1), (2);
INSERT INTO seats VALUES (1);

SELECT id, risk.lock_if_free('seat', ctid) FROM seat ORDER BY id;
-- what the transaction itself has done to it
BEGIN;
DELETE FROM seat WHERE id = 2;
SELECT risk.lock_if_free('seat', '(0,2)') AS deleted, risk.lock_if_free('seat', '(0,1)') AS own;
ROLLBACK;
-- rows that are not there
SELECT risk.lock_if_free('seat', '(0,3)'), risk.lock_if_free('seat', '(0,0)'),
	   risk.lock_if_free('seat', '(0,65535)'), risk.lock_if_free('seat', '(4294967295,1)'),
	   risk.lock_if_free('seat', '(1,1)'), risk.lock_if_free('seat', NULL);
-- of a partitioned table, the table that has the row
SELECT risk.lock_if_free(tableoid, ctid) FROM seats;
SELECT risk.lock_if_free('seats', ctid) FROM seats;
SELECT risk.lock_if_free('seat_view', '(0,1)');
SELECT risk.lock_if_free(0, '(0,1)');
BEGIN READ ONLY;
SELECT risk.lock_if_free('seat', '(0,1)');
ROLLBACK;

CREATE ROLE row_reader;
GRANT USAGE ON SCHEMA risk TO row_reader;
GRANT SELECT ON seat TO row_reader;
SET ROLE row_reader;
SELECT risk.lock_if_free('seat', ctid) FROM seat;
RESET ROLE;
GRANT EXECUTE ON FUNCTION risk.lock_if_free(regclass, tid) TO row_reader;
SET ROLE row_reader;
SELECT risk.lock_if_free('seat', ctid) FROM seat;
RESET ROLE;
GRANT UPDATE ON seat TO row_reader;
SET ROLE row_reader;
SELECT risk.lock_if_free('seat', ctid) FROM seat;
RESET ROLE;

DROP OWNED BY row_reader;
DROP ROLE row_reader;
DROP VIEW seat_view;
DROP TABLE seat, seats;
