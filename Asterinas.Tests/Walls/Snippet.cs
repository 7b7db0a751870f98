using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using NUnit.Framework;

namespace Asterinas.Tests.Walls;

/// <summary>Compiles a piece of C# against the host's framework: what a wall is shown to stop.</summary>
internal sealed class Snippet
{
    private static readonly MetadataReference[] s_framework = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(':')
        .Where(path => Path.GetFileName(path).StartsWith("System.", StringComparison.Ordinal)).Select(path => (MetadataReference)MetadataReference.CreateFromFile(path)).ToArray();

    private readonly CSharpCompilation _compilation;

    /// <param name="source">A whole file.</param>
    /// <param name="allowUnsafe">Whether it is compiled as Ostd is, or as Services are.</param>
    public Snippet(string source, bool allowUnsafe)
    {
        SyntaxTree tree = CSharpSyntaxTree.ParseText(source, new CSharpParseOptions(LanguageVersion.Latest));
        var options = new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release, allowUnsafe: allowUnsafe);
        _compilation = CSharpCompilation.Create("Snippet", [tree], s_framework, options);
    }

    /// <summary>What an analyzer reports, as "rule:line".</summary>
    public string[] Analyze(DiagnosticAnalyzer analyzer)
    {
        AssertCompiles();
        ImmutableArray<Diagnostic> found = _compilation.WithAnalyzers([analyzer]).GetAnalyzerDiagnosticsAsync().GetAwaiter().GetResult();
        return found.OrderBy(d => d.Location.SourceSpan.Start).Select(d => $"{d.Id}:{d.Location.GetLineSpan().StartLinePosition.Line + 1}").ToArray();
    }

    /// <summary>The assembly.</summary>
    public Stream Emit()
    {
        var image = new MemoryStream();
        Assert.That(_compilation.Emit(image).Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error), Is.Empty);
        image.Position = 0;
        return image;
    }

    /// <summary>The compiler's own errors.</summary>
    public string[] Errors() => _compilation.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error).Select(d => d.Id).ToArray();

    private void AssertCompiles()
    {
        IEnumerable<Diagnostic> errors = _compilation.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error);
        Assert.That(errors, Is.Empty, "the snippet itself must be correct C#");
    }
}
