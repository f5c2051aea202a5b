# The edge's tests share the small trust domain of tests/unit/auth.
$(TESTS_front): $(B)/obj/tests/unit/auth/world.o
