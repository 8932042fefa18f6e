# risk_ext: a ledger whose balances cannot be negative at commit
#
#   make demo      the flash crash on a throw-away cluster; CANDLES=file.csv.gz
#                  replays real candles, SEED and ACCOUNTS vary the venue
#   make test      every test, on a throw-away cluster
#   make fuzz      the arithmetic against an oracle, with sanitizers; TIME=300
#   make compare   the arithmetic against NUMERIC in SQL; ROWS=1000000
#   make bench     the formulas against the same in SQL; POSITIONS, ROUNDS
#   make bench-ledger  posting against the same in SQL; ACCOUNTS, ROUNDS,
#                  SECTIONS, and PGLEDGER, the files of a copy of pgledger
#   make bench-resets  resets against the same rows by set-based SQL
#   make bench-sweep   ticks against looking at everybody, what triggers cost;
#                  ACCOUNTS, ROUNDS, SECTIONS
#   make matrix    test and demo in fresh chroots of three Debian releases
#   make reference writes doc/reference.md out of the comments in the database
#   make, make install, make installcheck    as with every extension
#
# demo and test install what is missing with apt.  PG_CONFIG names the
# PostgreSQL to use; WERROR=1 makes warnings errors.

EXTENSION = risk_ext
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" risk_ext.control)

MODULE_big = risk_ext
# Below stands before above: nothing in a file knows what is listed after it.
OBJS = \
	src/risk_ext.o \
	src/decimal.o \
	src/formulas.o \
	src/liquidation_fee.o \
	src/adl_rank.o \
	src/loss_share.o \
	src/arguments.o \
	src/margin_sql.o \
	src/account_sql.o \
	src/leverage_sql.o \
	src/replay_sql.o \
	src/collateral_sql.o \
	src/ranks_sql.o \
	src/margin.o \
	src/leverage.o \
	src/row_lock.o \
	src/hot_rows.o \
	src/wiring.o \
	src/retention.o \
	src/trigger_rows.o \
	src/idempotency.o \
	src/guard.o \
	src/guarded_table.o \
	src/seal.o \
	src/valuation.o \
	src/entry_kind.o \
	src/freeze.o \
	src/posting_rows.o \
	src/trigger_price.o \
	src/posting.o \
	src/floor.o \
	src/fold.o \
	src/collateral.o \
	src/funding.o \
	src/isolated.o \
	src/execution.o \
	src/account_state.o \
	src/sweep.o \
	src/alert.o \
	src/trade_policy.o \
	src/trading_fee.o \
	src/trade.o \
	src/trade_row.o \
	src/instrument_settlement.o \
	src/open_hold.o \
	src/recourse.o \
	src/payout.o \
	src/transfer.o \
	src/hold.o \
	src/batch.o \
	src/journal.o \
	src/reversal.o \
	src/reserve.o \
	src/setting.o \
	src/limits.o \
	src/check_order.o \
	src/invariant.o \
	src/position_settlement.o \
	src/fund_use.o \
	src/stages.o \
	src/takeover.o \
	src/late_fill.o \
	src/takeover_result.o \
	src/liquidation.o \
	src/waterfall.o \
	src/deleveraging.o \
	src/loss_sharing.o \
	src/settle.o \
	src/worker.o

# The install script is these parts in this order.
SQL_PARTS = \
	sql/formulas.sql \
	sql/account_formulas.sql \
	sql/leverage_formulas.sql \
	sql/guarded_tables.sql \
	sql/collateral_formulas.sql \
	sql/ranks.sql \
	sql/partitions.sql \
	sql/row_lock.sql \
	sql/triggers.sql \
	sql/policy.sql \
	sql/tables.sql \
	sql/shortfall_tables.sql \
	sql/freeze.sql \
	sql/recourse.sql \
	sql/bust.sql \
	sql/pending_deposit.sql \
	sql/account_states.sql \
	sql/checkpoint_tables.sql \
	sql/settle_tables.sql \
	sql/notices.sql \
	sql/fund.sql \
	sql/fund_gainers.sql \
	sql/worker.sql \
	sql/wiring.sql \
	sql/price_band.sql \
	sql/prices.sql \
	sql/stop_order.sql \
	sql/sweep.sql \
	sql/liquidation.sql \
	sql/liquidation_order.sql \
	sql/liquidation_terms.sql \
	sql/alert.sql \
	sql/collateral.sql \
	sql/volatility.sql \
	sql/books.sql \
	sql/transfer_rules.sql \
	sql/journal.sql \
	sql/hold.sql \
	sql/reversal.sql \
	sql/funding.sql \
	sql/instrument_settlement.sql \
	sql/isolated.sql \
	sql/floor.sql \
	sql/fold.sql \
	sql/settle.sql \
	sql/statement.sql \
	sql/seal.sql \
	sql/adl_queue.sql \
	sql/retention.sql \
	sql/risk_views.sql \
	sql/check_order.sql \
	sql/roles.sql \
	sql/verify_entries.sql \
	sql/verify_trades.sql \
	sql/verify_settle.sql \
	sql/verify_accounts.sql \
	sql/verify.sql \
	sql/install.sql
DATA = $(wildcard sql/$(EXTENSION)--*--*.sql)
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
EXTRA_CLEAN = $(DATA_built) results output_iso log tmp_check

# A regress test that has the basename of a file in sql/ would run that file
# instead, hence the numbers.  := because PGXS asks with ifdef.
REGRESS := $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test
ISOLATION := $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=$(EXTENSION)
TAP_TESTS := $(if $(wildcard test/t/*.pl),1)
PROVE_TESTS = test/t/*.pl
PGTAP := $(sort $(wildcard test/pgtap/*.sql))

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

# The server's headers count as system headers: -Wextra is for this code.
PG_CPPFLAGS = -DRISK_EXT_VERSION=\"$(EXTVERSION)\" \
	-isystem $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
PG_CFLAGS = -Wall -Wextra $(if $(WERROR),-Werror)

# Bitcode for the JIT would need clang, and nothing here is worth inlining.
override with_llvm = no

.PHONY: all demo test fuzz compare bench bench-ledger bench-resets bench-sweep matrix reference
all:

# These find or install PostgreSQL themselves, so they come without PGXS.
demo:
	@demo/run
test:
	@test/sandbox test test/run
fuzz:
	@test/fuzz/run $(or $(TIME),60) $(SEED)
compare:
	@test/sandbox demo test/compare $(or $(ROWS),1000000)
bench:
	@test/sandbox demo bench/run
bench-ledger:
	@test/sandbox demo bench/ledger
bench-sweep:
	@test/sandbox demo bench/sweep
bench-resets:
	@test/sandbox demo bench/resets
matrix:
	@test/matrix
reference:
	@test/sandbox demo psql -X -q -f doc/reference.sql >doc/reference.new || { rm -f doc/reference.new; exit 1; }
	@mv doc/reference.new doc/reference.md
# for scripts
value-of-%:
	@echo '$($*)'
export POSITIONS ROUNDS SECTIONS PGLEDGER PG_CONFIG CANDLES SEED ACCOUNTS MATRIX_DIR RISK_DATA

ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
else
all install installcheck:
	@echo "$(PG_CONFIG) does not lead to PostgreSQL's server headers:" \
		"install them (postgresql-server-dev-NN), or set PG_CONFIG" >&2; exit 1
clean:
	rm -f src/*.o risk_ext.so $(DATA_built)
endif

$(DATA_built): $(SQL_PARTS) risk_ext.control Makefile
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	  cat $(SQL_PARTS) </dev/null; } > $@

# Every object depends on every header: there are few of both.
$(OBJS): $(wildcard src/*.h)
