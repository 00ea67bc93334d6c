/* <xlocale.h> of macOS; here its functions are in <locale.h>. */
