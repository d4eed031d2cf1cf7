# retrovue-playout: everything is built, tested and installed from here.
#
#   make            programs into build/bin
#   make check      the tests that every change must pass (installs what lacks)
#   make help       the other targets and the variants
#
# Variants build beside, not over: SAN=address,undefined  SAN=thread
# COVERAGE=1  CC=clang

VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=

ifeq ($(origin CC),default)
CC := gcc
endif

empty :=
space := $(empty) $(empty)
comma := ,
VARIANT := $(if $(findstring clang,$(CC)),-clang)$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(COVERAGE),-coverage)
BUILD   ?= build$(if $(VARIANT),/variant$(VARIANT))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Wvla \
	-Wno-format-nonliteral -Wno-missing-field-initializers -Werror
OPT  ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DRV_VERSION='"$(VERSION)"' \
	-Ilib -I$(BUILD)/gen
CFLAGS   += -std=gnu11 $(OPT) $(WARN) -fno-strict-aliasing -fstack-protector-strong
LDFLAGS  += -Wl,--as-needed -Wl,-z,relro,-z,now
ifneq ($(SAN),)
CFLAGS  += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS += -fsanitize=$(SAN)
else
CPPFLAGS += -D_FORTIFY_SOURCE=2
endif
# Both look at their own process at its end, and write files there.
ifneq ($(SAN)$(COVERAGE),)
CPPFLAGS += -DRV_NO_SANDBOX
endif
ifneq ($(COVERAGE),)
CFLAGS  += --coverage
LDFLAGS += --coverage
endif

BASE_LIBS := -lbsd -ljansson -lm -lpthread
AV_LIBS   := -lavformat -lavcodec -lswscale -lswresample -lavutil
RPC_LIBS  := -lnghttp2 -lprotobuf-c -lssl -lcrypto -lz
X264_LIBS := -lx264 $(AV_LIBS)
HTTP_LIBS := -lhttp_parser
MHD_LIBS  := -lmicrohttpd
BOX_LIBS  := -lseccomp

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

# --- generated from proto/: C types, and all descriptors as one table ---------
PROTOS    := retrovue/playout retrovue/playout_status grpc/health/v1/health \
	grpc/reflection/v1/reflection grpc/reflection/v1alpha/reflection
GEN       := $(BUILD)/gen
GEN_NAMES := $(PROTOS) google/protobuf/descriptor
GEN_HDR   := $(GEN_NAMES:%=$(GEN)/%.pb-c.h)
GEN_OBJ   := $(GEN_NAMES:%=$(BUILD)/obj/gen/%.pb-c.o) $(BUILD)/obj/gen/descriptor_set.o
PB_DIR    ?= /usr/include

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h: proto/%.proto
	@mkdir -p $(GEN)
	protoc-c -Iproto -I$(PB_DIR) --c_out=$(GEN) $*.proto

$(GEN)/google/protobuf/descriptor.pb-c.c $(GEN)/google/protobuf/descriptor.pb-c.h &: \
		$(PB_DIR)/google/protobuf/descriptor.proto
	@mkdir -p $(GEN)
	protoc-c -I$(PB_DIR) --c_out=$(GEN) google/protobuf/descriptor.proto

$(GEN)/descriptor_set.bin: $(PROTOS:%=proto/%.proto)
	@mkdir -p $(GEN)
	protoc -Iproto -I$(PB_DIR) --include_imports --descriptor_set_out=$@ $(PROTOS:%=%.proto)

$(GEN)/descriptor_set.c: $(GEN)/descriptor_set.bin
	{ echo '#include <stddef.h>'; echo 'const unsigned char rpc_descriptor_set[] = {'; \
	od -An -v -tx1 $< | sed 's/[0-9a-f][0-9a-f]/0x&,/g'; echo '};'; \
	echo 'const size_t rpc_descriptor_set_size = sizeof(rpc_descriptor_set);'; } >$@

# Not our code: our warnings do not apply.
$(BUILD)/obj/gen/%.o: $(GEN)/%.c | $(GEN_HDR)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(filter-out $(WARN),$(CFLAGS)) -w -MMD -MP -c -o $@ $<

# --- the library: every .c below lib/ ---------------------------------------
LIB_SRC := $(sort $(wildcard lib/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
LIBRV   := $(BUILD)/librv.a

$(BUILD)/obj/%.o: %.c | $(GEN_HDR)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(LIBRV): $(LIB_OBJ) $(GEN_OBJ)
	@mkdir -p $(@D)
	rm -f $@ && $(AR) rcs $@ $^

# Arithmetic over whole pictures and sound: worth vectors.
VECTORS := colour comb_line dovi field_line limiter tone turn
$(VECTORS:%=$(BUILD)/obj/lib/media/%.o): CFLAGS += -O3

# --- the programs: cmd/NAME/*.c ---------------------------------------------
TOOLS :=
define tool
ifneq ($(wildcard cmd/$(1)/*.c),)
TOOLS += $(BUILD)/bin/$(1)
$(BUILD)/bin/$(1): $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard cmd/$(1)/*.c))) $(LIBRV)
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $$@ $$^ $(2) $(BASE_LIBS)
endif
endef
$(eval $(call tool,rv-plan,$(AV_LIBS)))
$(eval $(call tool,rv-decode,$(BOX_LIBS) $(AV_LIBS)))
$(eval $(call tool,rv-stage,$(AV_LIBS)))
$(eval $(call tool,rv-render,$(X264_LIBS)))
$(eval $(call tool,rv-http,$(HTTP_LIBS) $(AV_LIBS)))
$(eval $(call tool,rv-ctl,$(RPC_LIBS) $(AV_LIBS)))
$(eval $(call tool,rv-metrics,$(MHD_LIBS) $(AV_LIBS)))
$(eval $(call tool,rv-tap,$(AV_LIBS)))

# --- unit tests: tests/unit/test_*.c ----------------------------------------
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT     := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(LIBRV)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(RPC_LIBS) $(HTTP_LIBS) \
		$(MHD_LIBS) $(BOX_LIBS) $(X264_LIBS) $(BASE_LIBS)

# --- helpers of the tests: tests/rpc/echo_server.c, with its own proto -------
$(GEN)/tests/rpc/echo.pb-c.c $(GEN)/tests/rpc/echo.pb-c.h &: tests/rpc/echo.proto
	@mkdir -p $(GEN)
	protoc-c -I. --c_out=$(GEN) $<

$(BUILD)/obj/tests/rpc/echo_server.o: $(GEN)/tests/rpc/echo.pb-c.h
$(BUILD)/tests/echo_server: $(BUILD)/obj/tests/rpc/echo_server.o \
		$(BUILD)/obj/gen/tests/rpc/echo.pb-c.o $(LIBRV)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(RPC_LIBS) $(BASE_LIBS)

# --- helpers of the tests: tests/tools/ -------------------------------------
TEST_TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/rv-*.c))
TEST_TOOL_PARTS := $(patsubst %.c,$(BUILD)/obj/%.o, \
	$(filter-out tests/tools/rv-%,$(wildcard tests/tools/*.c)))

$(TEST_TOOLS): $(BUILD)/tests/%: $(BUILD)/obj/tests/tools/%.o $(TEST_TOOL_PARTS) $(LIBRV)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(AV_LIBS) $(BASE_LIBS)

# --- figures: tests/bench/bench_*.c -----------------------------------------
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/bench/bench_*.c)))

$(BENCH): $(BUILD)/tests/%: $(BUILD)/obj/tests/bench/%.o $(LIBRV)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(AV_LIBS) $(BASE_LIBS)

.PHONY: all unit check-unit test-tools everything
all: $(TOOLS)
unit: $(UNIT)
test-tools: $(TEST_TOOLS) $(BUILD)/tests/echo_server
everything: all unit test-tools $(BENCH)
check-unit: unit
	@set -e; for t in $(UNIT); do echo "$$t"; "$$t"; done

# --- tests: tests/run.sh counts, tests/check-all.sh knows the variants --------
JOBS  = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
BATS := $(sort $(wildcard tests/*.bats)) $(sort $(wildcard tests/promise/*.bats))

.PHONY: deps check check-all bench demo
deps:
	@tests/deps.sh all

check:
	@tests/deps.sh check
	@tests/node.sh
	+@$(MAKE) $(JOBS) --no-print-directory -s all unit test-tools
	@RV_BIN=$(abspath $(BUILD))/bin RV_TESTS=$(abspath $(BUILD))/tests \
		RV_JOBS=$${RV_JOBS:-2} RV_RETRY=$${RV_RETRY-1} tests/run.sh check $(UNIT) $(BATS)

check-all:
	@tests/deps.sh all
	@tests/node.sh
	+@MAKE="$(MAKE)" tests/check-all.sh

bench:
	@tests/deps.sh check
	+@$(MAKE) $(JOBS) --no-print-directory -s all test-tools $(BENCH)
	@RV_BIN=$(abspath $(BUILD))/bin RV_TOOLS=$(abspath $(BUILD))/tests tests/bench.sh

demo:
	@tests/deps.sh build
	+@$(MAKE) $(JOBS) --no-print-directory -s all test-tools
	@RV_BIN=$(abspath $(BUILD))/bin RV_TOOLS=$(abspath $(BUILD))/tests examples/demo.sh

# --- install: programs, pages, completions, proto, examples ------------------
BINDIR  := $(PREFIX)/bin
MANDIR  := $(PREFIX)/share/man
COMPDIR := $(PREFIX)/share/bash-completion/completions
DATADIR := $(PREFIX)/share/retrovue
DOCDIR  := $(PREFIX)/share/doc/retrovue-playout
PAGES   := $(sort $(wildcard man/*.[1-8]))
SHARED  := $(sort $(wildcard proto/retrovue/*.proto))
DOCS    := README.md LICENSE CHANGELOG.md
SAMPLES := $(sort $(shell find examples -type f 2>/dev/null))

.PHONY: install uninstall dist clean help
install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(COMPDIR)
	$(if $(TOOLS),install -m 755 $(TOOLS) $(DESTDIR)$(BINDIR))
	@set -e; for page in $(PAGES); do \
		install -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done
	install -m 644 completions/retrovue.bash $(DESTDIR)$(COMPDIR)/rv-ctl
	@set -e; for tool in $(filter-out rv-ctl,$(notdir $(TOOLS))); do \
		ln -sf rv-ctl $(DESTDIR)$(COMPDIR)/$$tool; done
	@set -e; for file in $(SHARED); do \
		install -D -m 644 $$file $(DESTDIR)$(DATADIR)/$$file; done
	install -d $(DESTDIR)$(DOCDIR)
	install -m 644 $(DOCS) $(DESTDIR)$(DOCDIR)
	@set -e; for file in $(SAMPLES); do mode=644; [ ! -x $$file ] || mode=755; \
		install -D -m $$mode $$file $(DESTDIR)$(DOCDIR)/$$file; done

uninstall:
	rm -f $(addprefix $(DESTDIR)$(BINDIR)/,$(notdir $(TOOLS)))
	rm -f $(foreach page,$(PAGES),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	rm -f $(addprefix $(DESTDIR)$(COMPDIR)/,rv-ctl $(notdir $(TOOLS)))
	rm -rf $(DESTDIR)$(DATADIR) $(DESTDIR)$(DOCDIR)

dist:
	@mkdir -p dist
	git archive --prefix=retrovue-playout-$(VERSION)/ \
		-o dist/retrovue-playout-$(VERSION).tar.gz HEAD

clean:
	rm -rf build dist

help:
	@echo 'make            programs into build/bin'
	@echo 'make check      what every change must pass; last line: N passed, N failed'
	@echo 'make check-all  check under sanitizers, valgrind, clang; the long runs'
	@echo 'make bench      figures'
	@echo 'make demo       a channel on this machine; DEMO_SECONDS=20 ends it by itself'
	@echo 'make deps       installs the Debian packages that are missing'
	@echo 'make unit       unit tests into build/tests; check-unit runs them'
	@echo 'make install    honours PREFIX ($(PREFIX)) and DESTDIR; uninstall takes back'
	@echo 'make dist       dist/retrovue-playout-$(VERSION).tar.gz of what is committed'
	@echo 'make clean      removes build and dist'
	@echo 'Variants, each in its own folder: SAN=address,undefined  SAN=thread  COVERAGE=1  CC=clang'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
