using System.IO;
using Asterinas.Tests.Boots;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>The check of the link that no instruction destroys vector state which system calls do not save.</summary>
[TestFixture]
internal sealed class VectorTests
{
    [TestCase("vaddps %ymm0, %ymm1, %ymm2", TestName = "Ymm_register_fails")]
    [TestCase("vaddps %zmm0, %zmm1, %zmm2", TestName = "Zmm_register_fails")]
    [TestCase("vmovaps %xmm0, %xmm1", TestName = "Vex_on_xmm_registers_fails")]
    [TestCase("vmovdqu (%rax), %xmm1", TestName = "Vex_load_into_an_xmm_register_fails")]
    [TestCase("vmovd %xmm1, %eax", TestName = "Vex_move_to_a_general_register_fails")]
    [TestCase("vzeroupper", TestName = "Vzeroupper_fails")]
    [TestCase("vzeroall", TestName = "Vzeroall_fails")]
    [TestCase("kmovq %k1, %rax", TestName = "Mask_register_fails")]
    public void Violation(string instruction)
    {
        (int status, string output) = Check(ObjectFile.Assemble($"innocent: ret\nguilty: nop\n{instruction}\nret\n"));
        Assert.Multiple(() =>
        {
            Assert.That(status, Is.Not.Zero);
            Assert.That(output, Does.Match(@"^error ASTERINAS006: AVX in <guilty>: .*" + instruction.Split(' ')[0]));
        });
    }

    [TestCase("addps %xmm0, %xmm1", TestName = "Sse_is_allowed")]
    [TestCase("xsave (%rdi)\nxrstor (%rdi)", TestName = "Saving_and_restoring_is_allowed")]
    [TestCase("verw (%rdi)", TestName = "Verw_is_allowed")]
    [TestCase("andn %rax, %rbx, %rcx", TestName = "Vex_on_general_registers_is_allowed")]
    [TestCase("call *%rax\njmp vaddps\nvaddps: movaps %xmm1, %xmm2", TestName = "Names_of_functions_do_not_matter")]
    public void Allowed(string instruction)
    {
        (int status, string output) = Check(ObjectFile.Assemble(instruction + "\n"));
        Assert.That((status, output), Is.EqualTo((0, "")));
    }

    [Test]
    public void File_without_code_fails() => Assert.That(Check(ObjectFile.Assemble(".data\n.long 1\n")).Output, Does.Contain("error ASTERINAS006: no code"));

    [Test]
    public void File_that_cannot_be_read_fails() => Assert.That(Check("/nonexistent").Status, Is.Not.Zero);

    [TestCase("Asterinas.Boot/Kernel/obj/{0}/kernel/pass2.elf")]
    [TestCase("Asterinas.Boot/Samples/HundredLines/obj/{0}/kernel/pass2.elf")]
    [TestCase("Asterinas.Tests/Kernel/obj/{0}/kernel/pass2.elf")]
    public void Kernel_has_no_avx(string path) => Assert.That(Check(Path.Combine(Launcher.Root, string.Format(path, Launcher.Configuration))), Is.EqualTo((0, "")));

    private static (int Status, string Output) Check(string path) => ObjectFile.Run("bash", Path.Combine(Launcher.Root, "Asterinas.Boot/Build/check-no-avx.sh"), path);
}
