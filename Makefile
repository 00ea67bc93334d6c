# Building, installing and checking sora. `make help` lists the targets.
#
# Each Lua has its own build folder, build/$(LUA), with sora/core.so and its objects, so that several Luas can be built
# and tested side by side. Only `install` writes outside build/.

# ---- settings ----------------------------------------------------------------------------------------------------

# lua5.1 … lua5.5, luajit, or the name or path of any other interpreter
LUA     ?= lua5.4
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
# what `make test` runs, a folder or one file; and more options for busted
SPEC    ?= spec
BUSTED_FLAGS ?=

BUILD   ?= build/$(notdir $(LUA))
LUA_VER  = $(shell env -u LUA_INIT $(LUA) -e 'io.write(_VERSION:match("%d+%.%d+"))')
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VER)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VER)

PKG_CONFIG  ?= pkg-config
LUA_PC      ?= $(notdir $(LUA))
ifdef LUA_INCDIR
LUA_CFLAGS  ?= -I$(LUA_INCDIR)
else
LUA_CFLAGS  ?= $(shell $(PKG_CONFIG) --cflags $(LUA_PC) 2>/dev/null)
endif
CURL_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags libcurl 2>/dev/null)
CURL_LIBS   ?= $(shell $(PKG_CONFIG) --libs libcurl 2>/dev/null || echo -lcurl)
CRYPTO_LIBS ?= $(shell $(PKG_CONFIG) --libs libcrypto 2>/dev/null || echo -lcrypto)

# ---- compiling the C module --------------------------------------------------------------------------------------

WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wconversion -Werror=implicit-function-declaration
ALL_CFLAGS := -std=c99 $(WARNINGS) -fPIC -Isrc $(LUA_CFLAGS) $(CURL_CFLAGS) $(CPPFLAGS) $(CFLAGS)

# Lua's symbols come from the program that loads the module, so they stay undefined here.
# -z nodelete keeps the code mapped: libcurl's resolver thread may still run when lua_close unloads the module.
# macOS has its own library for HMAC; on the BSDs dlopen is part of the C library.
SYSTEM := $(shell uname -s)
ifeq ($(SYSTEM),Darwin)
SHARED = -bundle -undefined dynamic_lookup
LIBS   := $(CURL_LIBS)
else
SHARED = -shared -Wl,-z,nodelete
LIBS   := $(CURL_LIBS) $(CRYPTO_LIBS) -pthread $(if $(filter Linux,$(SYSTEM)),-ldl)
endif

SOURCES := $(sort $(wildcard src/*.c src/*/*.c))
OBJECTS  = $(SOURCES:src/%.c=$(BUILD)/obj/%.o)
MODULE   = $(BUILD)/sora/core.so
# each folder is a rock: lua/ the library, cli/ the rest
MODULES := $(sort $(shell find lua cli -name '*.lua' 2>/dev/null))
module_path   = $(patsubst cli/%,%,$(1:lua/%=%))
INSTALLED_LUA = $(addprefix $(DESTDIR)$(INST_LUADIR)/,$(call module_path,$(MODULES)))
INSTALLED_C   = $(DESTDIR)$(INST_LIBDIR)/sora/core.so

# The command; the head replaces its first line. MANUAL is a file, each of COMPLETIONS is what `sora completion` prints
# for a shell; both as source:target below share/.
PROGRAM           = bin/sora
PROGRAM_HEAD      = '\#!$(if $(findstring /,$(LUA)),$(abspath $(LUA)),/usr/bin/env $(LUA))' \
  'package.path = "$(INST_LUADIR)/?.lua;$(INST_LUADIR)/?/init.lua;" .. package.path' \
  'package.cpath = "$(INST_LIBDIR)/?.so;" .. package.cpath'
INSTALLED_PROGRAM = $(PROGRAM:%=$(DESTDIR)$(PREFIX)/%)
MANUAL            = man/sora.1:man/man1/sora.1
COMPLETIONS       = bash:bash-completion/completions/sora zsh:zsh/site-functions/_sora \
  fish:fish/vendor_completions.d/sora.fish
INSTALLED_SHARED  = $(foreach f,$(MANUAL) $(COMPLETIONS),$(call target,$(f)))
source = $(firstword $(subst :, ,$(1)))
target = $(DESTDIR)$(PREFIX)/share/$(lastword $(subst :, ,$(1)))

# ---- running Lua -------------------------------------------------------------------------------------------------

# Debian installs lua-http for 5.1 to 5.3, and some of its dependencies for 5.1 and 5.2 only. All are pure Lua and run
# on newer versions too. Their folders come last on the path, after modules made for the Lua in use.
ifeq ($(filter lua5.1 lua5.2 luajit,$(notdir $(LUA))),)
BORROWED := ;/usr/share/lua/5.3/?.lua;/usr/share/lua/5.3/?/init.lua;/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua
endif

# WITH_LUA finds the modules of this checkout, whatever the environment says (LUA_PATH_5_4, for instance, would take
# precedence over LUA_PATH); `luarocks test` adds MORE_PATH and MORE_CPATH. RUN also hides the user's settings of sora
# and proxies, which would change results.
lua_settings = LUA_INIT LUA_INIT_% LUA_PATH_% LUA_CPATH_%
hide = $(patsubst %,-u %,$(filter $(1),$(.VARIABLES)))
here = LUA="$(LUA)" CC="$(CC)" LUA_CPATH="./$(BUILD)/?.so;;$(MORE_CPATH)" \
  LUA_PATH="./?.lua;./lua/?.lua;./lua/?/init.lua;./cli/?.lua;./cli/?/init.lua;;$(BORROWED)$(MORE_PATH)"
WITH_LUA = env $(call hide,$(lua_settings)) $(here)
RUN = env $(call hide,$(lua_settings) SORA_% OPENAI_% http_proxy %_proxy %_PROXY) $(here)
BUSTED = tools/busted.lua $(BUSTED_FLAGS) $(SPEC)
DEPS = $(WITH_LUA) LUA_INCDIR="$(LUA_INCDIR)" LUA_PC="$(LUA_PC)" tools/deps.sh

# ---- building ----------------------------------------------------------------------------------------------------

.PHONY: all deps demo test test-all crash workers lint house platforms memcheck asan torture threads soak fuzz fuzz-corpus bench bench-paid bench-check bench-workers docs site man install uninstall modules dist dist-check pictures clean help FORCE
.DELETE_ON_ERROR:

# V=1 shows the compiler's command lines.
Q = $(if $(V),,@)
say = $(if $(V),,@echo "  $(1) $(2)")

all: $(MODULE) ## build the C module (the default)

$(MODULE): $(OBJECTS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(Q)$(CC) $(SHARED) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(LIBS)

$(BUILD)/obj/%.o: src/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,compile,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Contains the command lines. Its date changes only when they do (another CC, CFLAGS or list of sources), and then
# everything is rebuilt.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@test -n '$(LUA_INCDIR)' || $(PKG_CONFIG) --exists $(LUA_PC) libcurl 2>/dev/null || \
	  echo "$(PKG_CONFIG) finds no $(LUA_PC) or no libcurl here: 'make deps LUA=$(LUA)' installs what is missing."
	@printf '%s\n' '$(CC) $(ALL_CFLAGS) | $(SHARED) $(LDFLAGS) $(LIBS) | $(SOURCES)' >$@.$$$$ && \
	  if cmp -s $@.$$$$ $@; then rm $@.$$$$; else mv $@.$$$$ $@; fi

-include $(OBJECTS:.o=.d)

# ---- installing --------------------------------------------------------------------------------------------------

install: all ## install under PREFIX (/usr/local); DESTDIR is prepended
	install -d $(sort $(dir $(INSTALLED_C) $(INSTALLED_LUA) $(INSTALLED_PROGRAM) $(INSTALLED_SHARED)))
	install -m 755 $(MODULE) $(INSTALLED_C)
	$(foreach m,$(MODULES),install -m 644 $(m) $(DESTDIR)$(INST_LUADIR)/$(call module_path,$(m))$(newline))
	install -m 644 $(call source,$(MANUAL)) $(call target,$(MANUAL))
	{ printf '%s\n' $(PROGRAM_HEAD); tail -n +2 $(PROGRAM); } >$(INSTALLED_PROGRAM)
	chmod 755 $(INSTALLED_PROGRAM)
	$(foreach f,$(COMPLETIONS),@$(RUN) $(LUA) $(PROGRAM) completion $(call source,$(f)) >$(call target,$(f)) || \
	  rm $(call target,$(f)) # without argparse, the library is installed all the same$(newline))

uninstall: ## remove the installed files
	rm -f $(INSTALLED_C) $(INSTALLED_LUA) $(INSTALLED_PROGRAM) $(INSTALLED_SHARED)
	-rmdir $(call deepest_first,$(sort $(dir $(INSTALLED_C) $(INSTALLED_LUA)))) 2>/dev/null

modules: # list the Lua files to install, for the spec that compares them with the rockspecs
	@printf '%s\n' $(MODULES)

dist: ## write the release tarball and its rockspecs to build/dist; DIST_URL is where the tarball will be
	@tools/dist.sh $(DIST_URL)

dist-check: ## pack a release and install its rocks with LuaRocks, and those of the checkout, for the Lua of LUA
	@$(DEPS) dist-check
	@$(MAKE) --no-print-directory all
	@$(RUN) $(LUA) spec/rocks/run.lua

# $(newline) lets $(foreach) write one recipe line per word. $(deepest_first) orders folders for rmdir.
define newline


endef
deepest_first = $(shell printf '%s\n' $(1) | sort -r)

# ---- demo and tests ----------------------------------------------------------------------------------------------
# The targets below first install missing dependencies (tools/deps.sh lists them), then build in a second make, because
# only a new make sees what was just installed.

deps: ## install the dependencies of a GOAL: build (the default), demo, test, lint, platforms, memcheck, sanitize, soak, fuzz, docs, site, bench, bench-workers, dist-check, pictures, ci
	@$(DEPS) $(or $(GOAL),build)

demo: ## start the development server and make a video on it
	@$(DEPS) demo
	@$(MAKE) --no-print-directory all
	@$(RUN) examples/demo.sh

test: ## run the specs on $(LUA); SPEC=spec/wait runs one folder or file
	@$(DEPS) test
	@$(MAKE) --no-print-directory all
	@$(RUN) $(LUA) $(BUSTED)

test-all: ## run the specs on lua5.4, lua5.1 and luajit
	@set -e; for lua in lua5.4 lua5.1 luajit; do $(MAKE) --no-print-directory test LUA=$$lua; done

crash: ## kill processes at random moments; a job that is lost or paid for twice fails
	@$(DEPS) test
	@$(MAKE) --no-print-directory all
	@$(RUN) $(LUA) spec/crash/run.lua

workers: ## kill 20 workers of one queue while they make 200 films; a film that is lost or paid for twice fails
	@$(DEPS) test
	@$(MAKE) --no-print-directory all
	@$(RUN) $(LUA) spec/work/campaign.lua $(or $(PROMPTS),200) $(or $(KILLS),20)

# Lint checks against every Lua whose headers are installed, because their C APIs differ.
LINT_LUAS = $(shell for l in lua5.1 lua5.2 lua5.3 lua5.4 lua5.5 luajit; do $(PKG_CONFIG) --exists $$l && echo $$l; done)
lint: ## luacheck, shellcheck, and gcc and clang with warnings as errors, against every Lua installed
	@$(DEPS) lint
	luacheck --quiet --no-color $(wildcard lua cli spec examples bench bin/* tools/*.lua .luacheckrc)
	shellcheck tools/*.sh examples/*.sh bench/clients/*.sh .ci/run
	@set -e; for lua in $(LINT_LUAS); do for cc in gcc clang; do \
	  echo "$$cc -Werror, headers of $$lua"; \
	  $$cc -fsyntax-only -Werror -std=c99 $(WARNINGS) -Isrc $$($(PKG_CONFIG) --cflags $$lua libcurl) $(SOURCES) bench/clients/*.c spec/threads/host.c; \
	done; done

platforms: ## compile the C module for 32-bit, musl, Windows and macOS; run what can run here
	@$(DEPS) platforms
	@$(WITH_LUA) $(LUA) spec/platforms/run.lua

memcheck: ## run the specs under valgrind; any error or leak fails
	@$(DEPS) memcheck
	@$(MAKE) --no-print-directory all
	@$(RUN) valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite,indirect \
	  --show-leak-kinds=definite,indirect --error-exitcode=99 --child-silent-after-fork=yes --keep-debuginfo=yes \
	  --num-callers=30 --suppressions=spec/valgrind.supp $(LUA) $(BUSTED)

house: all ## check which folders of src/ include and call which
	@tools/house.sh $(OBJECTS)

# The sanitizers' runtime must be the first library of a process that loads the module, and must not be in any other
# (curl hangs with it). So $(BUILD)/lua preloads it for the interpreter only; LD_PRELOAD would be inherited by child
# processes. Leaks are checked by `make memcheck`, because here those of every library would count.
IS_CLANG = $(findstring clang,$(shell $(CC) --version))
SANITIZE = -fsanitize=address,undefined,float-cast-overflow,float-divide-by-zero -fno-sanitize-recover=all \
  $(if $(IS_CLANG),-shared-libasan)
RUNTIME = $(if $(IS_CLANG),libclang_rt.asan-$(shell uname -m).so,libasan.so)
asan: BUILD := build/asan-$(notdir $(CC))-$(notdir $(LUA))
asan: ## run the specs with the compiler's address and undefined behaviour sanitizers (CC=clang: clang's)
	@$(DEPS) sanitize
	@$(MAKE) --no-print-directory all BUILD=$(BUILD) CFLAGS="-O1 -g -fno-omit-frame-pointer $(SANITIZE)"
	@lua=$$(command -v $(LUA)) && loader=$$(ldd "$$lua" | grep -o '/[^ ]*/ld-[^ ]*') && \
	  printf '#!/bin/sh\nexec %s --preload %s %s "$$@"\n' \
	    "$$loader" "$$($(CC) -print-file-name=$(RUNTIME))" "$$lua" >$(BUILD)/lua && chmod +x $(BUILD)/lua
	@$(RUN) LUA=$(CURDIR)/$(BUILD)/lua ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 $(BUILD)/lua $(BUSTED)

soak: ## watch 10,000 JOBS on a server full of faults, for 60 SECONDS
	@$(DEPS) soak
	@$(MAKE) --no-print-directory all
	@$(RUN) $(LUA) spec/soak/run.lua $(or $(SECONDS),60) $(or $(JOBS),10000)

# The program that loads the module is compiled with the sanitizer, too, because its runtime has to come first.
THREADS_CFLAGS = -O1 -g -fno-omit-frame-pointer -fsanitize=thread
threads: BUILD := build/threads-$(notdir $(CC))-$(notdir $(LUA))
threads: ## run Lua states in eight threads under the thread sanitizer, for 15 SECONDS; a data race fails
	@$(DEPS) sanitize
	@$(MAKE) --no-print-directory all BUILD=$(BUILD) CFLAGS="$(THREADS_CFLAGS)"
	@$(CC) -std=c99 $(WARNINGS) $(LUA_CFLAGS) $(THREADS_CFLAGS) -o $(BUILD)/host spec/threads/host.c \
	  $(shell $(PKG_CONFIG) --libs $(LUA_PC)) -pthread
	@$(RUN) $(LUA) spec/threads/run.lua $(BUILD)/host $(SECONDS)

# The campaign of spec/torture: a host with the module linked in, so that the linker can wrap its calls. LeakSanitizer
# finds what the counters of the host miss. The sanitizers are for lua5.4 alone, because the other Luas differ little.
TORTURE_FLAGS := $(if $(filter lua5.4,$(notdir $(LUA))),-O1 -g -fno-omit-frame-pointer $(SANITIZE),-O2 -g)
TORTURE_WORDS = $(foreach word,ONLY MODE POINT POINTS SECONDS,$(if $($(word)),$(word)=$($(word))))
WRAPPED = malloc calloc realloc free strdup open close read write fsync rename ftruncate lseek fstat stat lstat flock \
  dup fchmod readlink socket epoll_create1 epoll_ctl epoll_wait timerfd_create timerfd_settime

torture: BUILD := build/torture-$(notdir $(LUA))
torture: ## let every allocation and system call fail in turn; ONLY= MODE= POINT= POINTS= SECONDS= narrow it down
	@$(DEPS) build
	@$(MAKE) --no-print-directory $(BUILD)/torture BUILD=$(BUILD) CFLAGS="$(TORTURE_FLAGS)"
	@$(RUN) $(BUILD)/torture $(TORTURE_WORDS)

$(BUILD)/torture: $(wildcard spec/torture/*.[ch]) $(OBJECTS) $(BUILD)/flags
	$(call say,link,$@)
	$(Q)$(CC) -std=c99 $(WARNINGS) $(LUA_CFLAGS) $(CURL_CFLAGS) $(CFLAGS) $(LDFLAGS) $(WRAPPED:%=-Wl,--wrap=%) \
	  -o $@ $(filter %.c %.o,$^) $(shell $(PKG_CONFIG) --libs $(LUA_PC)) $(LIBS)

# ---- fuzzing -----------------------------------------------------------------------------------------------------
# clang's libFuzzer with its sanitizers. spec/fuzz/host.c runs the targets, which are Lua files, with the module's objects
# linked in; --wrap lets it leave out the delays of retries. The program's name says which target it is.

FUZZ_FLAGS = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all
FUZZ_TARGETS := $(patsubst spec/fuzz/targets/%.lua,build/fuzz/%,$(wildcard spec/fuzz/targets/*.lua))
fuzz: ## fuzz the C code and the Lua layer, for 60 SECONDS; 0 replays the inputs that are kept
	@$(DEPS) fuzz
	@$(MAKE) --no-print-directory build/fuzz/host BUILD=build/fuzz CC=clang LUA=lua5.4 \
	  CFLAGS="$(FUZZ_FLAGS) -fsanitize=fuzzer-no-link"
	@for target in $(FUZZ_TARGETS); do ln -sf host $$target || exit 1; done
	@$(RUN) tools/fuzz.sh build/fuzz $(or $(SECONDS),60)

fuzz-corpus: # keep what `make fuzz` has found that reaches something new
	@$(MAKE) --no-print-directory fuzz SECONDS=keep

# The host is not watched for coverage: its server runs beside the target.
build/fuzz/host: spec/fuzz/host.c $(OBJECTS) $(BUILD)/flags
	$(call say,link,$@)
	$(Q)$(CC) $(filter-out -std=c99,$(ALL_CFLAGS)) -std=gnu99 -fno-sanitize=fuzzer-no-link -c -o $@.o $<
	$(Q)$(CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -Wl,--wrap=retry_delay -o $@ $@.o $(OBJECTS) \
	  $(shell $(PKG_CONFIG) --libs $(LUA_PC) 2>/dev/null) $(LIBS)

# ---- benchmarks --------------------------------------------------------------------------------------------------
# bench/run.lua explains WHAT, CLIENTS, ROUNDS and SCALE. Example: make bench WHAT=one CLIENTS=easy,sora

BENCH_PROGRAMS = build/bench/easy build/bench/multi
BENCH_WORDS = $(foreach word,WHAT CLIENTS ROUNDS SCALE,$(if $($(word)),$(word)=$($(word))))

build/bench/%: bench/clients/%.c bench/clients/program.c bench/clients/program.h
	@mkdir -p $(@D)
	$(call say,compile,$@)
	$(Q)$(CC) -std=c99 $(WARNINGS) $(CURL_CFLAGS) $(CFLAGS) -o $@ $(filter %.c,$^) $(CURL_LIBS)

bench: ## compare sora with C + libcurl and other clients, for bench/RESULTS.md
	@$(DEPS) bench
	@$(MAKE) --no-print-directory --silent all $(BENCH_PROGRAMS)
	@$(RUN) $(LUA) bench/run.lua $(BENCH_WORDS)

bench-paid: ## count the jobs that one create makes with several clients, where its answer is lost
	@$(DEPS) bench
	@$(MAKE) --no-print-directory --silent all
	@$(RUN) $(LUA) bench/paid.lua

bench-workers: ## measure what a task costs in Redis, for bench/WORKERS.md
	@$(DEPS) bench-workers
	@$(MAKE) --no-print-directory --silent all
	@$(RUN) $(LUA) bench/workers.lua

bench-check: ## count the instructions of a call, of a poll and of the command; fails above the limits
	@$(DEPS) bench-check
	@$(MAKE) --no-print-directory --silent all $(BENCH_PROGRAMS)
	@$(RUN) $(LUA) bench/check.lua

# LDoc prints a problem in its template and goes on, so the files are counted too.
docs: ## write the API reference, as Markdown, to build/reference
	@$(DEPS) docs
	@rm -rf build/reference
	ldoc --fatalwarnings .
	@test -s build/reference/modules/sora.client.markdown && rm build/reference/*.css

site: docs ## write the guides and the reference as a site to build/site, and check its links
	@$(DEPS) site
	@rm -rf build/site build/site-pages
	@cp -R docs build/site-pages && cp -R build/reference build/site-pages/
	mkdocs build --quiet --strict
	@$(LUA) tools/check_site.lua build/site

# The manual is kept beside its source, so that an installation does not need scdoc.
man: ## write the manual of the command to man/sora.1
	scdoc <man/sora.1.scd >man/sora.1

pictures: ## make the pictures of README and docs anew; WHAT="terminal charts love neovim page"
	@$(DEPS) pictures
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory all LUA=luajit
	@$(RUN) tools/pictures.sh $(WHAT)

clean: ## remove build/
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1#/p' Makefile | while IFS='#' read -r t what; do printf '  %-11s %s\n' "$$t" "$$what"; done
	@echo '  with LUA=lua5.1 … lua5.5 or luajit (default $(LUA)), CC, CFLAGS, LUA_INCDIR, PREFIX, DESTDIR'
