-- The extension goes; the books stay, without their guards.
SET client_min_messages = warning;
SELECT count(*) AS entries FROM ledger.entry \gset
DROP EXTENSION risk_ext CASCADE;
SELECT count(*) = :entries AS entries_stay FROM ledger.entry;
-- It comes back and finds them in order.
CREATE EXTENSION risk_ext;
SELECT risk.install();
SELECT * FROM risk.verify() WHERE violations > 0;
-- Nothing else is left behind: a schema is dropped without CASCADE only when
-- it is empty.
DROP EXTENSION risk_ext CASCADE;
DROP SCHEMA risk;
DROP SCHEMA ledger CASCADE;
SELECT nspname FROM pg_namespace WHERE nspname IN ('ledger', 'risk');
