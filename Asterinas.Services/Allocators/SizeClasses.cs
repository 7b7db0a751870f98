namespace Asterinas.Services.Allocators;

/// <summary>The sizes of slots: between two powers of two there is one more, so that a quarter of a slot is wasted at worst, from 32 bytes on.</summary>
internal static class SizeClasses
{
    private static readonly short[] s_sizes = [8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048];
    // By number of eight-byte words.
    private static readonly byte[] s_classOfWords = CreateClassOfWords();

    public static int Count => s_sizes.Length;

    public static int SizeOf(int sizeClass) => s_sizes[sizeClass];

    /// <summary>The class of the smallest slot that holds so many bytes, 1 to 2,048.</summary>
    public static int ClassOf(int size) => s_classOfWords[(size + 7) >> 3];

    private static byte[] CreateClassOfWords()
    {
        var classes = new byte[s_sizes[^1] / 8 + 1];
        int sizeClass = 0;
        for (int words = 0; words < classes.Length; words++)
        {
            if (words * 8 > s_sizes[sizeClass]) sizeClass++;
            classes[words] = (byte)sizeClass;
        }
        return classes;
    }
}
