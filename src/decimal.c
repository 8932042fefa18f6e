/*
 * decimal.c
 *		Exact decimal arithmetic on NUMERIC.
 *
 * The numbers that ledgers hold are computed by fixed.h.  Here are the roads
 * by core's functions, for all that does not fit there, and the face that
 * takes and gives Numeric.  What this adds to core is directed rounding of a
 * quotient and a product that is never rounded without being asked.  No
 * formula lives here, and nothing is read from tables or catalogues.
 *
 * Unless said otherwise the arguments are finite.  Core's errors come through:
 * 22003 when a result has more digits than NUMERIC holds, 22012 for a division
 * by zero.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "decimal.h"

/*
 * The most digits after the point that NUMERIC stores (NUMERIC_DSCALE_MAX,
 * private to core).
 */
#define DECIMAL_MAX_SCALE	0x3FFF

#define call1(function, a) \
	DatumGetNumeric(DirectFunctionCall1(function, NumericGetDatum(a)))
#define call2(function, a, b) \
	DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), \
										NumericGetDatum(b)))

static Numeric
numeric_from_cstring(const char *literal)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(literal),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

/*
 * The stored form of NUMERIC has been the same since 9.1, and pg_upgrade relies
 * on it, but its declaration is private to core.  So when the library is loaded
 * it is tried on numbers of each shape: should a server ever store them
 * otherwise, that is an error and never a wrong figure.
 */
void
decimal_check_format(void)
{
	static const struct
	{
		const char *literal;
		int64		value;
		int			scale;
	}			known[] = {
		{"0.00", 0, 2}, {"-12345.678", -12345678, 3}, {"10000", 10000, 0},
		{"0.00000000012340000", 12340000, 17}, {"9999999999999999.99", 999999999999999999, 2},
		{"-0.0000000000000000000000000000000000000000000000000000000000000000000007", -7, 70}
	};

	for (int i = 0; i < (int) lengthof(known); i++)
	{
		struct varlena *stored = (struct varlena *) numeric_from_cstring(known[i].literal);
		int			length = VARSIZE(stored) - VARHDRSZ;
		char		data[FIXED_MAX_BYTES];
		Fixed		number;

		if (!fixed_decode(VARDATA(stored), length, &number) ||
			number.value != known[i].value || number.scale != known[i].scale ||
			fixed_encode(number.value, number.scale, data) != length ||
			memcmp(data, VARDATA(stored), length) != 0)
			elog(ERROR, "risk_ext does not know how this server stores numeric");
	}
}

/* 10 ^ exponent; a negative exponent gives exactly that many decimals. */
static Numeric
power_of_ten(int exponent)
{
	char		literal[16];

	snprintf(literal, sizeof(literal), "1e%d", exponent);
	return numeric_from_cstring(literal);
}

/*
 * Any numeric.  dec_from_datum() comes here with what is not short.  The value
 * is returned, so that it comes in registers.
 */
FixedInt
dec_decode_long(Datum datum, DecodedNumber *rest)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(datum);
	Fixed		number;

	if (unlikely(VARATT_IS_EXTERNAL(stored) || VARATT_IS_COMPRESSED(stored)))
		stored = PG_DETOAST_DATUM(datum);
	if (unlikely(!fixed_decode(VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored), &number)))
	{
		rest->scale = 0;
		rest->numeric = DatumGetNumeric(PointerGetDatum(stored));
		return 0;
	}
	rest->scale = number.scale;
	rest->numeric = NULL;
	return number.value;
}

Numeric
dec_encode(FixedInt value, int scale)
{
	struct varlena *result = palloc(VARHDRSZ + fixed_encoded_room(value, scale));

	SET_VARSIZE(result, VARHDRSZ + fixed_encode(value, scale, VARDATA(result)));
	return (Numeric) result;
}

/* By core's functions */

/*
 * The exact product.
 *
 * numeric_mul keeps every decimal of the product up to DECIMAL_MAX_SCALE and
 * rounds beyond, silently.  A rounded product would break the identities that
 * the books rest on, so that case is an error here (22003).  Only factors with
 * thousands of decimals can get there.
 */
static Numeric
multiply_by_core(Numeric a, Numeric b)
{
	Numeric		product = call2(numeric_mul, a, b);

	if (decimal_is_finite(product) &&
		DatumGetInt32(DirectFunctionCall1(numeric_scale,
										  NumericGetDatum(product))) >= DECIMAL_MAX_SCALE &&
		decimal_scale(a) + decimal_scale(b) > DECIMAL_MAX_SCALE)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("product has more decimals than numeric can hold"),
				 errdetail("The factors have %d and %d decimals; together they may have %d.",
						   decimal_scale(a), decimal_scale(b),
						   DECIMAL_MAX_SCALE),
				 errhint("Round the inputs to the decimals they really have.")));
	return product;
}

/*
 * The truncated integer quotient of a * 10^scale and b is exact, and so is its
 * remainder; the direction is decided by the remainder.  Rounding a quotient
 * that was itself rounded would be wrong by one unit now and then.
 */
static Numeric
divide_rounded_by_core(Numeric a, Numeric b, int scale, DecimalRounding rounding)
{
	Numeric		scaled = multiply_by_core(a, power_of_ten(scale));
	Numeric		quotient = call2(numeric_div_trunc, scaled, b);
	Numeric		remainder = call2(numeric_sub, scaled, multiply_by_core(quotient, b));
	int			sign = decimal_sign(remainder) * decimal_sign(b);
	bool		away = false;	/* one unit further from zero? */

	/*
	 * The remainder has the sign of the dividend, so that sign is that of the
	 * exact quotient, or 0 when the truncated quotient is exact.
	 */
	if (sign != 0)
	{
		switch (rounding)
		{
			case DECIMAL_DOWN:
				away = (sign < 0);
				break;
			case DECIMAL_UP:
				away = (sign > 0);
				break;
			case DECIMAL_HALF_AWAY:
				away = decimal_compare(decimal_absolute(decimal_add(remainder,
																	remainder)),
									   decimal_absolute(b)) >= 0;
				break;
		}
	}
	if (away)
		quotient = call2(numeric_add, quotient, int64_to_numeric(sign));
	return multiply_by_core(quotient, power_of_ten(-scale));
}

static Numeric
round_by_core(Numeric a, int scale, DecimalRounding rounding)
{
	/* numeric_round rounds half away from zero */
	Numeric		rounded = DatumGetNumeric(DirectFunctionCall2(rounding == DECIMAL_HALF_AWAY ?
															  numeric_round : numeric_trunc,
															  NumericGetDatum(a),
															  Int32GetDatum(scale)));
	int			order;

	if (rounding == DECIMAL_HALF_AWAY)
		return rounded;
	order = decimal_compare(a, rounded);	/* 0 when nothing was cut off */
	if (order < 0 && rounding == DECIMAL_DOWN)
		return call2(numeric_sub, rounded, power_of_ten(-scale));
	if (order > 0 && rounding == DECIMAL_UP)
		return call2(numeric_add, rounded, power_of_ten(-scale));
	return rounded;
}

/*
 * Any operation on the numbers a and b; scale and rounding are those of the
 * operations that round.  What core makes of it may well fit again.
 */
void
dec_compute_by_core(DecimalOperation operation,
					FixedInt value_a, int scale_a, Numeric numeric_a,
					FixedInt value_b, int scale_b, Numeric numeric_b,
					int scale, DecimalRounding rounding, Decimal *result)
{
	Numeric		a = numeric_a != NULL ? numeric_a : dec_encode(value_a, scale_a);
	Numeric		b = numeric_b != NULL ? numeric_b : dec_encode(value_b, scale_b);
	Numeric		computed = NULL;
	int			order;

	Assert(scale >= 0 && scale <= NUMERIC_MAX_DISPLAY_SCALE);

	switch (operation)
	{
		case DEC_ADD:
			computed = call2(numeric_add, a, b);
			break;
		case DEC_SUBTRACT:
			computed = call2(numeric_sub, a, b);
			break;
		case DEC_MULTIPLY:
			computed = multiply_by_core(a, b);
			break;
		case DEC_DIVIDE:
			computed = call2(numeric_div, a, b);
			break;
		case DEC_DIVIDE_ROUNDED:
			computed = divide_rounded_by_core(a, b, scale, rounding);
			break;
		case DEC_ROUND:
			computed = round_by_core(a, scale, rounding);
			break;
		case DEC_NEGATE:
			computed = call1(numeric_uminus, a);
			break;
		case DEC_COMPARE:
			/* NaN sorts above everything, as in core */
			order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
													  NumericGetDatum(b)));
			*result = dec_integer((order > 0) - (order < 0));
			return;
	}
	*result = dec_from_numeric(computed);
}

/* Numeric in, Numeric out */

Numeric
decimal_from_int64(int64 value)
{
	return dec_to_numeric(dec_integer(value));
}

/* The exact sum. */
Numeric
decimal_add(Numeric a, Numeric b)
{
	return dec_to_numeric(dec_add(dec_from_numeric(a), dec_from_numeric(b)));
}

/* The exact difference a - b. */
Numeric
decimal_subtract(Numeric a, Numeric b)
{
	return dec_to_numeric(dec_subtract(dec_from_numeric(a), dec_from_numeric(b)));
}

/* The exact product, or 22003. */
Numeric
decimal_multiply(Numeric a, Numeric b)
{
	return dec_to_numeric(dec_multiply(dec_from_numeric(a), dec_from_numeric(b)));
}

Numeric
decimal_negate(Numeric a)
{
	return dec_to_numeric(dec_negate(dec_from_numeric(a)));
}

Numeric
decimal_absolute(Numeric a)
{
	return decimal_sign(a) < 0 ? decimal_negate(a) : a;
}

/* -1, 0 or 1; NaN sorts above everything, as in core. */
int
decimal_compare(Numeric a, Numeric b)
{
	return dec_compare(dec_from_numeric(a), dec_from_numeric(b));
}

int
decimal_sign(Numeric a)
{
	return dec_compare(dec_from_numeric(a), dec_integer(0));
}

Numeric
decimal_min(Numeric a, Numeric b)
{
	return decimal_compare(b, a) < 0 ? b : a;
}

Numeric
decimal_max(Numeric a, Numeric b)
{
	return decimal_compare(b, a) > 0 ? b : a;
}

/*
 * a / b as SQL's own operator gives it: at least 16 significant digits and not
 * fewer decimals than either argument, rounded half away from zero.
 */
Numeric
decimal_divide(Numeric a, Numeric b)
{
	Decimal		divisor = dec_from_numeric(b);

	if (dec_sign(divisor) == 0)
		return call2(numeric_div, a, b);	/* raises the error */
	return dec_to_numeric(dec_divide(dec_from_numeric(a), divisor));
}

/* a / b rounded once, to exactly scale decimals. */
Numeric
decimal_divide_rounded(Numeric a, Numeric b, int scale,
					   DecimalRounding rounding)
{
	Decimal		divisor = dec_from_numeric(b);

	if (dec_sign(divisor) == 0)
		return call2(numeric_div, a, b);	/* raises the error */
	return dec_to_numeric(dec_divide_rounded(dec_from_numeric(a), divisor, scale,
											 rounding));
}

/* a with exactly scale decimals. */
Numeric
decimal_round(Numeric a, int scale, DecimalRounding rounding)
{
	return dec_to_numeric(dec_round(dec_from_numeric(a), scale, rounding));
}

Numeric
decimal_ln(Numeric a)
{
	return call1(numeric_ln, a);
}

bool
decimal_is_finite(Numeric a)
{
	return !numeric_is_nan(a) && !numeric_is_inf(a);
}

int
decimal_scale(Numeric a)
{
	return DatumGetInt32(DirectFunctionCall1(numeric_min_scale,
											 NumericGetDatum(a)));
}

int
decimal_integer_digits(Numeric a)
{
	Numeric		whole = DatumGetNumeric(DirectFunctionCall2(numeric_trunc,
															NumericGetDatum(decimal_absolute(a)),
															Int32GetDatum(0)));

	return decimal_sign(whole) == 0 ? 0 : (int) strlen(decimal_to_cstring(whole));
}

char *
decimal_to_cstring(Numeric a)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(a)));
}
