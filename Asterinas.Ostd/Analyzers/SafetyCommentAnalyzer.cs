using System.Collections.Immutable;
using System.Text.RegularExpressions;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;

namespace Asterinas.Ostd.Analyzers;

/// <summary>
/// Every <c>unsafe</c> is covered by a comment <c>// SAFETY: why it is sound</c>, or <c>// SAFETY (contract): what callers promise</c>: directly above the
/// block or the declaration that has the word, among its modifiers, or as the first thing in its body. A comment on a type or a member that is itself
/// <c>unsafe</c> covers what is inside; each part of a partial type needs its own.
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class SafetyCommentAnalyzer : DiagnosticAnalyzer
{
    public const string Id = "ASTERINAS003";

    // Two words at least: a bare "SAFETY:" or "SAFETY: ok" justifies nothing.
    private static readonly Regex s_comment = new(@"^//\s*SAFETY(?: \([^)]+\))?:\s*\S+\s+\S+", RegexOptions.CultureInvariant);

    // Not configurable: no pragma and no attribute switches it off.
    private static readonly DiagnosticDescriptor s_rule = new(Id, "Unsafe code without a SAFETY comment", "'unsafe' has no // SAFETY: comment that says why it is sound",
        "Soundness", DiagnosticSeverity.Error, isEnabledByDefault: true, customTags: WellKnownDiagnosticTags.NotConfigurable);

    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = ImmutableArray.Create(s_rule);

    public override void Initialize(AnalysisContext context)
    {
        // Generated code is no excuse.
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.Analyze | GeneratedCodeAnalysisFlags.ReportDiagnostics);
        context.EnableConcurrentExecution();
        context.RegisterSyntaxTreeAction(Check);
    }

    private static void Check(SyntaxTreeAnalysisContext context)
    {
        foreach (SyntaxToken token in context.Tree.GetRoot(context.CancellationToken).DescendantTokens())
        {
            if (token.IsKind(SyntaxKind.UnsafeKeyword) && !IsCovered(token, context.CancellationToken)) context.ReportDiagnostic(Diagnostic.Create(s_rule, token.GetLocation()));
        }
    }

    private static bool IsCovered(SyntaxToken keyword, CancellationToken cancellation)
    {
        for (SyntaxNode? node = keyword.Parent; node is not null; node = node.Parent)
        {
            cancellation.ThrowIfCancellationRequested();
            if (IsUnsafe(node) && HasComment(node)) return true;
        }
        return false;
    }

    private static bool IsUnsafe(SyntaxNode node)
    {
        foreach (SyntaxNodeOrToken child in node.ChildNodesAndTokens())
        {
            if (child.IsKind(SyntaxKind.UnsafeKeyword)) return true;
        }
        return false;
    }

    /// <summary>Looks from the comment above to the first token behind the opening brace or arrow, not into parameters or attributes.</summary>
    private static bool HasComment(SyntaxNode node)
    {
        if (HasCommentDirectlyAbove(node.GetFirstToken())) return true;
        foreach (SyntaxNodeOrToken child in node.ChildNodesAndTokens())
        {
            if (child.AsToken() is { RawKind: not 0 } token && token.SpanStart != node.SpanStart)
            {
                // A modifier below an attribute, or the brace of a type.
                if (token.IsKind(SyntaxKind.OpenBraceToken)) return StartsWithComment(token);
                if (SyntaxFacts.IsKeywordKind(token.Kind()) && HasCommentDirectlyAbove(token)) return true;
            }
            else if (child.AsNode() is BlockSyntax block) return StartsWithComment(block.OpenBraceToken);
            else if (child.AsNode() is ArrowExpressionClauseSyntax arrow) return StartsWithComment(arrow.ArrowToken);
            else if (child.AsNode() is AccessorListSyntax accessors) return StartsWithComment(accessors.OpenBraceToken);
        }
        return false;
    }

    private static bool StartsWithComment(SyntaxToken opening)
    {
        foreach (SyntaxTrivia trivia in opening.TrailingTrivia)
        {
            if (IsComment(trivia)) return true;
        }
        foreach (SyntaxTrivia trivia in opening.GetNextToken().LeadingTrivia)
        {
            if (IsComment(trivia)) return true;
        }
        return false;
    }

    /// <summary>A blank line ends what belongs to the declaration.</summary>
    private static bool HasCommentDirectlyAbove(SyntaxToken token)
    {
        SyntaxTriviaList above = token.LeadingTrivia;
        bool lineIsBlank = false;
        for (int i = above.Count - 1; i >= 0; i--)
        {
            SyntaxTrivia trivia = above[i];
            if (IsComment(trivia)) return true;
            if (trivia.IsKind(SyntaxKind.WhitespaceTrivia)) continue;
            bool endsLine = trivia.IsKind(SyntaxKind.EndOfLineTrivia);
            if (endsLine && lineIsBlank) return false;
            lineIsBlank = endsLine;
        }
        return false;
    }

    private static bool IsComment(SyntaxTrivia trivia) => trivia.IsKind(SyntaxKind.SingleLineCommentTrivia) && s_comment.IsMatch(trivia.ToString());
}
