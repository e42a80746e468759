/* A library that holds the address of a function of another library, which that one chooses: this is
 * relocated after that one, and before everything that was loaded ahead of it, us included. */
extern int chosen(void);

int (*const chosen_pointer)(void) = chosen;

int through_pointer(void)
{
    return chosen_pointer();
}
