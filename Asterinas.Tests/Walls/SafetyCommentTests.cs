using Asterinas.Ostd.Analyzers;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>The rule of the build that every <c>unsafe</c> says why it is sound.</summary>
[TestFixture]
internal sealed class SafetyCommentTests
{
    [TestCase("class C\n{\n    void M()\n    {\n        unsafe { }\n    }\n}", 5, TestName = "Unsafe_block_without_comment_fails")]
    [TestCase("unsafe class C { }", 1, TestName = "Unsafe_class_without_comment_fails")]
    [TestCase("unsafe struct S { int* P; }", 1, TestName = "Unsafe_struct_without_comment_fails")]
    [TestCase("class C\n{\n    unsafe void M(int* p) { }\n}", 3, TestName = "Unsafe_method_without_comment_fails")]
    [TestCase("class C\n{\n    unsafe int* P => null;\n}", 3, TestName = "Unsafe_property_without_comment_fails")]
    [TestCase("class C\n{\n    unsafe int* _p;\n}", 3, TestName = "Unsafe_field_without_comment_fails")]
    [TestCase("unsafe delegate void D(int* p);", 1, TestName = "Unsafe_delegate_without_comment_fails")]
    [TestCase("class C\n{\n    void M()\n    {\n        unsafe void Local() { }\n        Local();\n    }\n}", 5, TestName = "Unsafe_local_function_without_comment_fails")]
    [TestCase("class C\n{\n    // why not\n    unsafe void M() { }\n}", 4, TestName = "Another_comment_is_no_justification")]
    [TestCase("// SAFETY:\nunsafe class C { }", 2, TestName = "An_empty_comment_is_no_justification")]
    [TestCase("// SAFETY: fine\nunsafe class C { }", 2, TestName = "One_word_is_no_justification")]
    [TestCase("/// <remarks>SAFETY: the pointer is checked.</remarks>\nunsafe class C { }", 2, TestName = "Documentation_is_no_justification")]
    [TestCase("// SAFETY: the pointer is checked.\n\nunsafe class C { }", 3, TestName = "A_blank_line_parts_a_comment_from_the_code")]
    [TestCase("// SAFETY: about another type.\nclass B { }\nunsafe class C { }", 3, TestName = "A_neighbours_comment_does_not_cover")]
    [TestCase("// SAFETY: the type is not unsafe.\nclass C\n{\n    unsafe void M() { }\n}", 4, TestName = "A_comment_on_a_safe_type_does_not_cover_its_unsafe_members")]
    [TestCase("// SAFETY: this part is covered.\nunsafe partial class C { }\nunsafe partial class C { }", 3, TestName = "Each_part_of_a_partial_class_needs_its_comment")]
    [TestCase("unsafe class C\n{\n    void M()\n    {\n        // SAFETY: too deep inside.\n        int x = 0;\n    }\n}", 1, TestName = "A_comment_inside_a_member_does_not_cover_the_type")]
    [TestCase("unsafe class C\n{\n    int _x;\n    // SAFETY: not the first thing.\n    int _y;\n}", 1, TestName = "A_comment_on_a_later_member_does_not_cover_the_type")]
    public void Violation(string source, int line) =>
        Assert.That(new Snippet(source, allowUnsafe: true).Analyze(new SafetyCommentAnalyzer()), Is.EqualTo(new[] { $"{SafetyCommentAnalyzer.Id}:{line}" }));

    [TestCase("// SAFETY: nothing is dereferenced.\nunsafe class C { int* P; }", TestName = "Comment_above_a_type_covers_it")]
    [TestCase("/// <summary>A type.</summary>\n// SAFETY: nothing is dereferenced.\n[System.Serializable]\nunsafe class C { }", TestName = "Comment_between_documentation_and_attribute_covers")]
    [TestCase("[System.Serializable]\n// SAFETY: nothing is dereferenced.\nunsafe class C { }", TestName = "Comment_below_an_attribute_covers")]
    [TestCase("unsafe class C\n{\n    // SAFETY: nothing is dereferenced, and\n    // nothing ever was.\n    int* P;\n}", TestName = "Comment_at_the_start_of_a_type_covers_it")]
    [TestCase("// SAFETY: all of it is checked.\nunsafe class C\n{\n    unsafe void M()\n    {\n        unsafe { }\n    }\n}", TestName = "An_unsafe_type_covers_what_is_inside")]
    [TestCase("class C\n{\n    void M()\n    {\n        // SAFETY: the buffer is pinned.\n        unsafe\n        {\n        }\n    }\n}", TestName = "Comment_above_a_block_covers_it")]
    [TestCase("class C\n{\n    int M()\n    {\n        unsafe\n        {\n            // SAFETY: the buffer is pinned.\n            return 1;\n        }\n    }\n}", TestName = "Comment_at_the_start_of_a_block_covers_it")]
    [TestCase("class C\n{\n    unsafe int M()\n    {\n        // SAFETY: the buffer is pinned.\n        return 1;\n    }\n}", TestName = "Comment_at_the_start_of_a_method_covers_it")]
    [TestCase("class C\n{\n    // SAFETY (contract): buffer is valid for count bytes.\n    unsafe void M(byte* buffer, int count) { }\n}", TestName = "A_contract_is_a_justification")]
    public void Allowed(string source) => Assert.That(new Snippet(source, allowUnsafe: true).Analyze(new SafetyCommentAnalyzer()), Is.Empty);
}
