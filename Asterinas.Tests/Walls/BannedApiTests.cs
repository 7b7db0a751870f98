using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>Safe kernel code that names what the list bans does not build: one real build of a file of violations, one a line.</summary>
[TestFixture]
internal sealed class BannedApiTests
{
    // A member of a class; the name says what it uses.
    private static readonly (string Name, string Member)[] s_violations =
    [
        ("Unsafe", "int M() => System.Runtime.CompilerServices.Unsafe.SizeOf<int>();"),
        ("MemoryMarshal", "object M() => System.Runtime.InteropServices.MemoryMarshal.ToEnumerable(default(System.ReadOnlyMemory<int>));"),
        ("CollectionsMarshal", "void M(System.Collections.Generic.List<int> l) => System.Runtime.InteropServices.CollectionsMarshal.SetCount(l, 3);"),
        ("Marshal", "nint M() => System.Runtime.InteropServices.Marshal.AllocHGlobal(1);"),
        ("NativeMemory", "System.Type M() => typeof(System.Runtime.InteropServices.NativeMemory);"),
        ("GCHandle", "object? M(nint p) => System.Runtime.InteropServices.GCHandle.FromIntPtr(p).Target;"),
        ("DllImport", "[System.Runtime.InteropServices.DllImport(\"c\")] static extern int getpid();"),
        ("UnmanagedCallersOnly", "[System.Runtime.InteropServices.UnmanagedCallersOnly] static void M() { }"),
        ("UnsafeAccessor", "[System.Runtime.CompilerServices.UnsafeAccessor(System.Runtime.CompilerServices.UnsafeAccessorKind.Method)] static extern void M(string s);"),
        ("Vector128_loads", "object M(ref byte b) => System.Runtime.Intrinsics.Vector128.LoadUnsafe(ref b);"),
        ("Private_reflection", "object? M(System.Type t) => t.GetField(\"x\", System.Reflection.BindingFlags.NonPublic);"),
        ("FieldInfo", "void M(System.Type t) => t.GetField(\"x\")!.SetValue(null, 1);"),
        ("MethodInfo", "void M(System.Type t) => t.GetMethod(\"x\")!.Invoke(null, null);"),
        ("Activator", "object? M(System.Type t) => System.Activator.CreateInstance(t);"),
        ("GetUninitializedObject", "object M(System.Type t) => System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(t);"),
        ("Console", "void M() => System.Console.WriteLine();"),
        ("File", "void M() => System.IO.File.Delete(\"x\");"),
        ("Directory", "void M() => System.IO.Directory.Delete(\"x\");"),
        ("FileStream", "object M() => new System.IO.FileStream(\"x\", System.IO.FileMode.Open);"),
        ("Socket", "void M(System.Net.Sockets.Socket s) => s.Close();"),
        ("Thread", "void M() => System.Threading.Thread.Sleep(1);"),
        ("ThreadPool", "int M() => System.Threading.ThreadPool.ThreadCount;"),
        ("Task", "void M() => System.Threading.Tasks.Task.Run(() => { });"),
        ("Async_task", "async System.Threading.Tasks.Task<int> M() { await System.Threading.Tasks.Task.Yield(); return 1; }"),
        ("Timer", "object M() => new System.Threading.Timer(_ => { });"),
    ];

    private static readonly Lazy<string[]> s_errors = new(() => ViolationBuild.Errors("BannedApi", Source()));

    private static IEnumerable<TestCaseData> Violations() =>
        s_violations.Select((violation, index) => new TestCaseData(index + 1).SetName($"Safe_code_that_uses_{violation.Name}_does_not_build"));

    [TestCaseSource(nameof(Violations))]
    public void Violation(int line) => Assert.That(s_errors.Value, Does.Contain($"RS0030:{line}"));

    [Test]
    public void Safe_code_that_uses_nothing_banned_builds() =>
        Assert.That(s_errors.Value.Where(error => int.Parse(error.Split(':')[1]) > s_violations.Length), Is.Empty, "the last line of the violating file is innocent");

    private static string Source()
    {
        var source = new StringBuilder();
        for (int i = 0; i < s_violations.Length; i++) source.AppendLine($"internal class V{i} {{ {s_violations[i].Member} }}");
        source.AppendLine("internal class Innocent { int M(System.Span<byte> s) => System.Buffers.Binary.BinaryPrimitives.ReadInt32LittleEndian(s) + GetType().Name.Length; }");
        return source.ToString();
    }
}
