using System.IO;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>The rules are in force where they must be: each real project is compiled with one file too many.</summary>
[TestFixture]
internal sealed class ProjectTests
{
    private const string UnsafeCode = "namespace Violation { internal class C { private unsafe int* _p; } }";
    private const string BannedName = "namespace Violation { internal class C { private void M() => System.IO.File.Delete(\"x\"); } }";
    private const string ExternMethod = "namespace Violation { internal class C { [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.InternalCall)] static extern void M(); } }";
    private const string BadFormat = "namespace Violation { internal class  C { } }";

    [TestCase("Asterinas.Ostd/Asterinas.Ostd.csproj", "X64", UnsafeCode, "ASTERINAS003", TestName = "Ostd_with_unexplained_unsafe_code_does_not_build")]
    [TestCase("Asterinas.Ostd/Asterinas.Ostd.csproj", "Mirch", UnsafeCode, "ASTERINAS003", TestName = "Ostd_on_Mirch_with_unexplained_unsafe_code_does_not_build")]
    [TestCase("Asterinas.Ostd/Runtime/Asterinas.Ostd.Runtime.csproj", "X64", UnsafeCode, "ASTERINAS003", TestName = "Platform_layer_with_unexplained_unsafe_code_does_not_build")]
    [TestCase("Asterinas.Ostd/Runtime/Asterinas.Ostd.Runtime.csproj", "X64", BadFormat, "IDE0055", TestName = "Platform_layer_with_bad_format_does_not_build")]
    [TestCase("Asterinas.Services/Asterinas.Services.csproj", "X64", BannedName, "RS0030", TestName = "Services_with_a_banned_name_do_not_build")]
    [TestCase("Asterinas.Services/Asterinas.Services.csproj", "X64", ExternMethod, "ASTERINAS004", TestName = "Services_with_an_extern_method_do_not_build")]
    [TestCase("Asterinas.Services/Asterinas.Services.csproj", "X64", UnsafeCode, "CS0227", TestName = "Services_with_unsafe_code_do_not_build")]
    [TestCase("Asterinas.Boot/Kernel/Kernel.csproj", "X64", BannedName, "RS0030", TestName = "Kernel_with_a_banned_name_does_not_build")]
    [TestCase("Asterinas.Boot/Samples/HundredLines/HundredLines.csproj", "X64", BannedName, "RS0030", TestName = "Sample_with_a_banned_name_does_not_build")]
    [TestCase("Asterinas.Tests/Kernel/KernelTests.csproj", "X64", BannedName, "RS0030", TestName = "Kernel_tests_with_a_banned_name_do_not_build")]
    public void Violation(string project, string architecture, string source, string error)
    {
        // Below the repository, so that .editorconfig holds. The results of the real build are not touched.
        string folder = Path.Combine(Launcher.Root, "Asterinas.Tests", "bin", "walls", "Project");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "Violation.cs"), source);
        File.WriteAllText(Path.Combine(folder, "Violation.targets"), """
            <Project>
              <ItemGroup>
                <Compile Include="$(MSBuildThisFileDirectory)Violation.cs" />
              </ItemGroup>
            </Project>
            """);
        string output = ViolationBuild.Run("msbuild", Path.Combine(Launcher.Root, project), "-t:Compile", "-p:BuildProjectReferences=false", $"-p:OstdArch={architecture}",
            $"-p:Configuration={Launcher.Configuration}", $"-p:IntermediateOutputPath={folder}/obj/", $"-p:CustomAfterMicrosoftCommonTargets={folder}/Violation.targets",
            "-p:CompileUsingReferenceAssemblies=false", "-v:q", "-nologo", "-m:1", "-nodeReuse:false");
        Assert.That(output, Does.Contain($"error {error}:"));
    }
}
