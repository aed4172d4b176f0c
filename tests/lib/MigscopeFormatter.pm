# SPDX-License-Identifier: GPL-2.0
#
# prove's own report, and before its last lines every skip with its reason, and the time.
package MigscopeFormatter;

use strict;
use warnings;
use parent 'TAP::Formatter::Console';

my @skips;

sub open_test {
	my ($self, $test, $parser) = @_;

	$parser->callback(plan => sub {
		my ($plan) = @_;
		push @skips, "$test: all: " . ($plan->explanation || 'no reason given')
			if ($plan->directive || '') eq 'SKIP';
	});
	$parser->callback(test => sub {
		my ($result) = @_;
		push @skips, "$test: " . $result->number . ': ' .
			($result->explanation || 'no reason given') if $result->has_skip;
	});
	return $self->SUPER::open_test($test, $parser);
}

sub summary {
	my ($self, @rest) = @_;

	if (@skips) {
		$self->_output("\nSkipped:\n");
		$self->_output("  $_\n") for sort @skips;
	}
	if (my $began = $ENV{MIGSCOPE_STARTED}) {
		my $took = time - $began;
		$self->_output(sprintf "\nTime with building: %d min %02d s\n", $took / 60, $took % 60);
	}
	return $self->SUPER::summary(@rest);
}

1;
