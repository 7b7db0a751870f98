using System;
using System.Collections.Immutable;
using System.Linq;
using System.Runtime.InteropServices;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;

namespace Asterinas.Ostd.Analyzers;

/// <summary>
/// In a compilation without <c>AllowUnsafeBlocks</c>: what the compiler allows all the same and a list of banned names cannot express. Methods without a body
/// (P/Invoke, internal calls, accessors of private members), explicit layout that could put a reference over something else, and silencing the list.
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class SafeCodeAnalyzer : DiagnosticAnalyzer
{
    public const string Id = "ASTERINAS004";

    private const string BannedApiRule = "RS0030";

    // Not configurable: no pragma and no attribute switches it off.
    private static readonly DiagnosticDescriptor s_rule = new(Id, "Not allowed outside Asterinas.Ostd", "{0}: not allowed outside Asterinas.Ostd", "Soundness",
        DiagnosticSeverity.Error, isEnabledByDefault: true, customTags: WellKnownDiagnosticTags.NotConfigurable);

    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = ImmutableArray.Create(s_rule);

    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.Analyze | GeneratedCodeAnalysisFlags.ReportDiagnostics);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(static start =>
        {
            if (start.Compilation.Options is CSharpCompilationOptions { AllowUnsafe: true }) return;
            start.RegisterSymbolAction(CheckMethod, SymbolKind.Method);
            start.RegisterSymbolAction(CheckType, SymbolKind.NamedType);
            start.RegisterSyntaxNodeAction(CheckAttribute, SyntaxKind.Attribute);
            start.RegisterSyntaxNodeAction(CheckFunctionPointer, SyntaxKind.FunctionPointerType);
            start.RegisterSyntaxTreeAction(CheckPragmas);
        });
    }

    private static void CheckMethod(SymbolAnalysisContext context)
    {
        var method = (IMethodSymbol)context.Symbol;
        if (method.IsExtern) context.ReportDiagnostic(Diagnostic.Create(s_rule, method.Locations[0], $"'{method.Name}' is extern"));
    }

    private static void CheckType(SymbolAnalysisContext context)
    {
        var type = (INamedTypeSymbol)context.Symbol;
        if (type.Name == "IgnoresAccessChecksToAttribute") context.ReportDiagnostic(Diagnostic.Create(s_rule, type.Locations[0], "access to internals of other assemblies"));
        if (!IsExplicit(type)) return;
        foreach (IFieldSymbol field in type.GetMembers().OfType<IFieldSymbol>())
        {
            if (!field.IsStatic && !field.Type.IsUnmanagedType)
                context.ReportDiagnostic(Diagnostic.Create(s_rule, field.Locations[0], $"explicit layout with the reference in '{field.Name}'"));
        }
    }

    private static bool IsExplicit(INamedTypeSymbol type)
    {
        foreach (AttributeData attribute in type.GetAttributes())
        {
            if (attribute.AttributeClass?.Name == "StructLayoutAttribute" && attribute.ConstructorArguments.Length == 1 &&
                attribute.ConstructorArguments[0].Value is { } kind && Convert.ToInt32(kind) == (int)LayoutKind.Explicit) return true;
        }
        return false;
    }

    private static void CheckFunctionPointer(SyntaxNodeAnalysisContext context) => context.ReportDiagnostic(Diagnostic.Create(s_rule, context.Node.GetLocation(), "a function pointer"));

    private static void CheckAttribute(SyntaxNodeAnalysisContext context)
    {
        var attribute = (AttributeSyntax)context.Node;
        if (attribute.Name.ToString().Contains("SuppressMessage") && attribute.ArgumentList?.ToString().Contains(BannedApiRule) == true)
            context.ReportDiagnostic(Diagnostic.Create(s_rule, attribute.GetLocation(), "silencing the list of banned names"));
    }

    private static void CheckPragmas(SyntaxTreeAnalysisContext context)
    {
        foreach (SyntaxTrivia trivia in context.Tree.GetRoot(context.CancellationToken).DescendantTrivia())
        {
            if (trivia.GetStructure() is PragmaWarningDirectiveTriviaSyntax pragma && pragma.DisableOrRestoreKeyword.IsKind(SyntaxKind.DisableKeyword) &&
                (pragma.ErrorCodes.Count == 0 || pragma.ErrorCodes.Any(code => code.ToString() == BannedApiRule)))
                context.ReportDiagnostic(Diagnostic.Create(s_rule, pragma.GetLocation(), "silencing the list of banned names"));
        }
    }
}
