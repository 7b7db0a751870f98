using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;

namespace Asterinas.Tests.Kernel;

/// <summary>Real exceptions: two-pass handling, filters, CPU faults.</summary>
internal static class ExceptionTests
{
    public static void Register()
    {
        Program.Add("Exceptions_are_caught_by_type_through_nested_finally_blocks", TypedCatch);
        Program.Add("Exceptions_pass_filters_and_rethrow_keeps_the_stack_trace", FiltersAndRethrow);
        Program.Add("Exceptions_cross_interface_and_generic_frames", InterfaceAndGenericFrames);
        Program.Add("Null_dereference_becomes_NullReferenceException", NullDereference);
        Program.Add("Division_by_zero_becomes_DivideByZeroException", DivisionByZero);
        Program.Add("Out_of_memory_can_be_caught_and_the_kernel_goes_on", OutOfMemory);
    }

    private class BaseException : Exception;

    private sealed class DerivedException(int number) : BaseException
    {
        public int Number { get; } = number;
    }

    private static void TypedCatch()
    {
        var order = new List<string>();
        try
        {
            try
            {
                try
                {
                    throw new DerivedException(42);
                }
                catch (ArgumentException)
                {
                    order.Add("wrong type");
                }
                finally
                {
                    order.Add("inner finally");
                }
            }
            finally
            {
                order.Add("outer finally");
            }
        }
        catch (BaseException problem)
        {
            order.Add($"caught {((DerivedException)problem).Number}");
        }
        Expect.Equal("inner finally, outer finally, caught 42", string.Join(", ", order), "order");
    }

    private static void FiltersAndRethrow()
    {
        var order = new List<string>();
        try
        {
            try
            {
                ThrowHere();
            }
            catch (InvalidOperationException) when (Note(order, "filter 1", false))
            {
                order.Add("not here");
            }
            catch (InvalidOperationException) when (Note(order, "filter 2", true))
            {
                order.Add("rethrow");
                throw;
            }
            finally
            {
                order.Add("finally");
            }
        }
        catch (InvalidOperationException problem)
        {
            order.Add("caught");
            Expect.True(problem.StackTrace!.Contains(nameof(ThrowHere), StringComparison.Ordinal), $"the stack trace names its origin: {problem.StackTrace}");
        }
        Expect.Equal("filter 1, filter 2, rethrow, finally, caught", string.Join(", ", order), "order");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ThrowHere() => throw new InvalidOperationException("test");

    private static bool Note(List<string> order, string text, bool result)
    {
        order.Add(text);
        return result;
    }

    private interface IWork
    {
        int Do<T>(T value, int depth);
    }

    private sealed class Work : IWork
    {
        public int Do<T>(T value, int depth)
        {
            try
            {
                return depth == 0 ? throw new DerivedException(value!.GetHashCode()) : ((IWork)this).Do(value, depth - 1) + 1;
            }
            finally
            {
                Finallies++;
            }
        }

        public int Finallies { get; private set; }
    }

    private static void InterfaceAndGenericFrames()
    {
        var work = new Work();
        DerivedException problem = Expect.Throws<DerivedException>(() => ((IWork)work).Do(17, 50));
        Expect.Equal(17, problem.Number, "number");
        Expect.Equal(51, work.Finallies, "finally blocks");
        Expect.Throws<DerivedException>(() => ((IWork)work).Do("text", 50));
        Expect.Equal(102, work.Finallies, "finally blocks");
    }

    private sealed class Holder
    {
        public int Value;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Read(Holder? holder) => holder!.Value;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Write(Holder? holder) => holder!.Value = 1;

    private static void NullDereference()
    {
        int caught = 0;
        for (int i = 0; i < 5000; i++)
        {
            try
            {
                if ((i & 1) == 0) Read(null); else Write(null);
            }
            catch (NullReferenceException)
            {
                caught++;
            }
        }
        Expect.Equal(5000, caught, "exceptions");
        Expect.Equal(0, Read(new Holder()), "value");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Divide(int dividend, int divisor) => dividend / divisor;

    private static void DivisionByZero()
    {
        int caught = 0;
        for (int i = 0; i < 5000; i++)
        {
            try
            {
                Divide(i, 0);
            }
            catch (DivideByZeroException)
            {
                caught++;
            }
        }
        Expect.Equal(5000, caught, "exceptions");
        Expect.Throws<OverflowException>(() => Divide(int.MinValue, -1));
        Expect.Equal(7, Divide(42, 6), "quotient");
    }

    private static void OutOfMemory()
    {
        for (int round = 0; round < 3; round++)
        {
            int blocks = 0;
            Expect.Throws<OutOfMemoryException>(() =>
            {
                var hoard = new List<byte[]>();
                while (true)
                {
                    hoard.Add(new byte[4 << 20]);
                    blocks = hoard.Count;
                }
            });
            Expect.True(blocks > 8, $"memory for {blocks} blocks only");
            GC.Collect();
            byte[] again = new byte[32 << 20];
            Expect.Equal(32 << 20, again.Length, "the kernel goes on");
        }
        Expect.Throws<OutOfMemoryException>(() => GC.KeepAlive(new long[int.MaxValue / 2]));
    }
}
