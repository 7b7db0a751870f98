using System;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Diagnostics;

/// <summary>Ends the machine because something is broken.</summary>
public static class Panic
{
    /// <summary>Prints the message and a symbolised stack trace on the console and powers off with status 134. Does not return.</summary>
    /// <param name="message">What is broken.</param>
    [DoesNotReturn]
    public static void Fail(string message)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(message);
        // SAFETY: the array is pinned for the call, which does not return.
        unsafe
        {
            fixed (byte* p = bytes) Machine.Panic(p, (nuint)bytes.Length);
        }
        throw new InvalidOperationException("panic returned");
    }
}
