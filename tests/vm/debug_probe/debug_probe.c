// SPDX-License-Identifier: GPL-2.0
/*
 * Makes, on request, the mistakes that the debug kernel is there to find.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *plant = "none";
module_param(plant, charp, 0444);
MODULE_PARM_DESC(plant, "none, lock, sleep, leak or use-after-free");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

static void lock_both(struct mutex *a, struct mutex *b)
{
	mutex_lock(a);
	mutex_lock(b);
	mutex_unlock(b);
	mutex_unlock(a);
}

/* Nobody waits, nobody ever will: only the order is wrong. */
static noinline void debug_probe_lock_inversion(void)
{
	lock_both(&first, &second);
	lock_both(&second, &first);
}

static noinline void debug_probe_sleep_in_atomic(void)
{
	spin_lock(&spin);
	might_sleep();
	spin_unlock(&spin);
}

static noinline int debug_probe_leak(void)
{
	/* several: a stale register or stack slot may still point to the last */
	for (int i = 0; i < 16; i++) {
		char *lost = kmalloc(199, GFP_KERNEL);

		if (!lost)
			return -ENOMEM;
		memset(lost, i, 199);
		OPTIMIZER_HIDE_VAR(lost);
	}
	return 0;
}

static noinline int debug_probe_use_after_free(void)
{
	char *gone = kmalloc(199, GFP_KERNEL);
	int value;

	if (!gone)
		return -ENOMEM;
	kfree(gone);
	OPTIMIZER_HIDE_VAR(gone);
	value = READ_ONCE(gone[7]);
	return value == INT_MAX;
}

static int __init debug_probe_init(void)
{
	if (!strcmp(plant, "lock"))
		debug_probe_lock_inversion();
	else if (!strcmp(plant, "sleep"))
		debug_probe_sleep_in_atomic();
	else if (!strcmp(plant, "leak"))
		return debug_probe_leak();
	else if (!strcmp(plant, "use-after-free"))
		return debug_probe_use_after_free();
	else if (strcmp(plant, "none"))
		return -EINVAL;
	return 0;
}

static void __exit debug_probe_exit(void)
{
}

module_init(debug_probe_init);
module_exit(debug_probe_exit);
MODULE_DESCRIPTION("Planted mistakes, for the debug kernel to find");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL");
