using System.IO;
using System.Linq;
using Asterinas.Ostd.Analyzers;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>What is no name that could be banned, and still not for safe kernel code.</summary>
[TestFixture]
internal sealed class SafeCodeTests
{
    private const string Layout = "using System.Runtime.InteropServices;\n[StructLayout(LayoutKind.Explicit)]\nstruct S\n{\n";

    [TestCase("using System.Runtime.InteropServices;\nclass C\n{\n    [DllImport(\"c\")] static extern int getpid();\n}", 4, TestName = "Extern_method_fails")]
    [TestCase("using System.Runtime.CompilerServices;\nclass C\n{\n    [MethodImpl(MethodImplOptions.InternalCall)] static extern int M();\n}", 4, TestName = "Internal_call_fails")]
    [TestCase(Layout + "    [FieldOffset(0)] public long Number;\n    [FieldOffset(0)] public object Reference;\n}", 6, TestName = "Explicit_layout_with_a_reference_fails")]
    [TestCase(Layout + "    [FieldOffset(0)] public long Number;\n    [FieldOffset(0)] public (int, string) Pair;\n}", 6, TestName = "Explicit_layout_with_a_reference_inside_a_struct_fails")]
    [TestCase("#pragma warning disable RS0030\nclass C { }", 1, TestName = "Pragma_against_the_list_fails")]
    [TestCase("#pragma warning disable\nclass C { }", 1, TestName = "Pragma_against_everything_fails")]
    [TestCase("[System.Diagnostics.CodeAnalysis.SuppressMessage(\"ApiDesign\", \"RS0030\")]\nclass C { }", 1, TestName = "Attribute_against_the_list_fails")]
    [TestCase("namespace System.Runtime.CompilerServices;\nclass IgnoresAccessChecksToAttribute : Attribute { }", 2, TestName = "Access_to_internals_fails")]
    [TestCase("using System.Runtime.InteropServices;\n#pragma warning disable ASTERINAS004\nclass C { [DllImport(\"c\")] static extern int getpid(); }", 3, TestName = "Pragma_against_this_rule_has_no_effect")]
    public void Violation(string source, int line) =>
        Assert.That(new Snippet(source, allowUnsafe: false).Analyze(new SafeCodeAnalyzer()), Is.EqualTo(new[] { $"{SafeCodeAnalyzer.Id}:{line}" }));

    [TestCase(Layout + "    [FieldOffset(0)] public long Number;\n    [FieldOffset(0)] public int Half;\n}", TestName = "Explicit_layout_of_numbers_is_allowed")]
    [TestCase("#pragma warning disable CS0168\nclass C { }", TestName = "Pragma_against_another_rule_is_allowed")]
    public void Allowed(string source) => Assert.That(new Snippet(source, allowUnsafe: false).Analyze(new SafeCodeAnalyzer()), Is.Empty);

    [TestCase("class C { int* P; }", "CS0214", TestName = "Pointer_fails")]
    [TestCase("class C { delegate*<void> P; }", "CS0214", TestName = "Function_pointer_fails")]
    [TestCase("class C { void M() { unsafe { } } }", "CS0227", TestName = "Unsafe_block_in_safe_code_fails")]
    [TestCase("class C { [System.Runtime.CompilerServices.SkipLocalsInit] void M() { } }", "CS0227", TestName = "SkipLocalsInit_fails")]
    public void Compiler_refuses(string source, string error) => Assert.That(new Snippet(source, allowUnsafe: false).Errors(), Does.Contain(error));

    [TestCase("Asterinas.Services")]
    [TestCase("Asterinas.Boot/Kernel")]
    [TestCase("Asterinas.Boot/Samples/HundredLines")]
    [TestCase("Asterinas.Tests/Kernel")]
    public void Project_that_allows_unsafe_code_does_not_build(string folder)
    {
        string project = Directory.GetFiles(Path.Combine(Launcher.Root, folder), "*.csproj").Single();
        string output = ViolationBuild.Run("msbuild", project, "-t:SafeCodeOnly", "-p:AllowUnsafeBlocks=true", "-nologo", "-m:1", "-nodeReuse:false");
        Assert.That(output, Does.Contain("error ASTERINAS005"));
    }
}
